/** The draft of a request: what was typed, what can be sent, and durations as people write them. Pure. */
import { type InstanceRef, type RequestDraft, refKey, requestDraft } from '../../../shared/access.ts';
import type { Place, SavedDraft } from '../../../shared/desktop.ts';
import { limits } from '../../../shared/limits.ts';

export const emptyDraft: SavedDraft = { instances: [], durationSeconds: 3600, reason: '', ticket: '' };

/** Durations that are one click away, seconds. */
export const durationPresets = [15 * 60, 30 * 60, 3600, 2 * 3600, 4 * 3600] as const;

/** "1h 30m", "90 min", "45", "1:30", "1.5 h" as seconds; null when it is no duration. A bare number means minutes. */
export const parseDuration = (text: string): number | null => {
  const clean = text.trim().toLowerCase().replace(',', '.');
  const clock = /^(\d{1,2}):([0-5]\d)$/.exec(clean);
  if (clock !== null) return Number(clock[1]) * 3600 + Number(clock[2]) * 60;
  if (/^\d{1,4}$/.test(clean)) return Number(clean) * 60;
  const parts =
    /^(?:(\d{1,2}(?:\.\d{1,2})?)\s*h(?:ours?)?)?\s*(?:(\d{1,4})\s*m(?:in(?:utes?)?)?)?\s*(?:(\d{1,5})\s*s)?$/.exec(
      clean,
    );
  if (parts === null || clean === '') return null;
  return Math.round(Number(parts[1] ?? 0) * 3600) + Number(parts[2] ?? 0) * 60 + Number(parts[3] ?? 0);
};

/** Why this duration cannot be asked for at all, or null. */
export const durationProblem = (seconds: number): string | null => {
  if (seconds < limits.shortestGrantSeconds) return 'At least 1 min.';
  if (seconds > limits.longestGrantSeconds) return 'At most 12 h.';
  return null;
};

// The rules may look at the reason; before there is one, they are asked as if this had been written.
const notSaidYet = 'not said yet';

export type DraftFields = {
  reason: string | null;
  ticket: string | null;
  duration: string | null;
  instances: string | null;
};

export type Checked = { fields: DraftFields; toPreview: RequestDraft | null; toSend: RequestDraft | null };

const problemAt = (draft: unknown, field: string): string | null => {
  const parsed = requestDraft.safeParse(draft);
  if (parsed.success) return null;
  return parsed.error.issues.find((issue) => issue.path[0] === field)?.message ?? null;
};

const parsed = (draft: unknown): RequestDraft | null => {
  const result = requestDraft.safeParse(draft);
  return result.success ? result.data : null;
};

/** What is wrong with each field, what the rules can be asked about already, and what could be sent. */
export const checkDraft = (draft: SavedDraft): Checked => {
  const ticket = draft.ticket.trim();
  const whole = { ...draft, capability: 'shell', ticket: ticket === '' ? null : ticket };
  const tooMany = draft.instances.length > limits.instancesPerRequest;
  const ticketProblem = problemAt(whole, 'ticket');
  return {
    fields: {
      reason: draft.reason.trim() === '' ? null : problemAt(whole, 'reason'),
      ticket: ticketProblem === null ? null : 'A ticket id looks like PAY-2291.',
      duration: durationProblem(draft.durationSeconds),
      instances: tooMany
        ? `One request takes ${limits.instancesPerRequest} instances. Take ${draft.instances.length - limits.instancesPerRequest} out.`
        : null,
    },
    toPreview: parsed({
      ...whole,
      ticket: ticketProblem === null ? whole.ticket : null,
      reason: draft.reason.trim() === '' ? notSaidYet : draft.reason,
    }),
    toSend: parsed(whole),
  };
};

const isSame = (left: SavedDraft, right: SavedDraft): boolean => JSON.stringify(left) === JSON.stringify(right);

/** The tray or a terminal may have prepared a draft ("ask again"): the one to take over on arriving at a place, or null. */
export const draftToAdopt = (ours: SavedDraft, prepared: SavedDraft | null, place: Place): SavedDraft | null => {
  if (place !== 'instances' || prepared === null || prepared.instances.length === 0) return null;
  return isSame(ours, prepared) ? null : prepared;
};

/** The draft without this instance. */
export const without = (draft: SavedDraft, ref: InstanceRef): SavedDraft => ({
  ...draft,
  instances: draft.instances.filter((other) => refKey(other) !== refKey(ref)),
});

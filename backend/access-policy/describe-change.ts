/** What a yes would change in a principal's access policy, made for an approver's card (design 4.5, threats RQ-10). */
import { type InstanceRef, refKey } from '../../src/shared/access.ts';
import { durationWords } from '../../src/shared/countdown.ts';
import type { DocumentLine, PolicyChange } from '../../src/shared/views.ts';
import { buildDocuments, type PolicyCarrier, type StatementGrant, statementGrant } from './compile.ts';
import { headroom, type PlannedGrant } from './headroom.ts';

const previewGrant = (grant: PlannedGrant): StatementGrant => {
  if ('endsAt' in grant) return statementGrant(grant);
  const { afterConnectSeconds: seconds, id, instances } = grant;
  const window = { from: 'connect', until: `connect + ${durationWords(seconds)}` };
  return { id, instances, seconds, window, dated: false };
};

/** A line diff by the longest common subsequence; documents have some hundred lines at most. */
const lineDiff = (before: readonly string[], after: readonly string[]): DocumentLine[] => {
  const width = after.length + 1;
  const lengths = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DocumentLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const [was, is] = [before[i], after[j]];
    if (was !== undefined && was === is) {
      lines.push({ change: 'same', text: was });
      i += 1;
      j += 1;
    } else if (was !== undefined && (is === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ change: 'removed', text: was });
      i += 1;
    } else if (is !== undefined) {
      lines.push({ change: 'added', text: is });
      j += 1;
    }
  }
  return lines;
};

/** All documents for reading; several are parted by a line that says which one follows. */
const pretty = (carrier: PolicyCarrier, grants: readonly PlannedGrant[]): string => {
  const { documents } = buildDocuments(carrier, grants.map(previewGrant));
  return documents
    .map(({ slot, document }) => {
      const text = JSON.stringify(document, null, 2);
      if (documents.length === 1) return text;
      return `${slot === 0 ? 'Inline policy' : `Managed policy ${slot}`}\n${text}`;
    })
    .join('\n');
};

const utcClock = (at: Date): string => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

const list = (names: readonly string[]): string => {
  if (names.length <= 3) return names.join(', ');
  return `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
};

const sentences = (
  before: readonly PlannedGrant[],
  after: readonly PlannedGrant[],
  nameOf: (ref: InstanceRef) => string,
): string[] => {
  const known = new Map(before.map((grant) => [grant.id, grant]));
  return after.flatMap((grant) => {
    const names = list(grant.instances.map(nameOf));
    if (!('endsAt' in grant)) {
      const same = known.get(grant.id);
      if (same !== undefined && !('endsAt' in same) && same.afterConnectSeconds === grant.afterConnectSeconds)
        return [];
      return [`May start a shell on ${names} for ${durationWords(grant.afterConnectSeconds)} from connecting.`];
    }
    const was = known.get(grant.id);
    if (was === undefined || !('endsAt' in was))
      return [`May start a shell on ${names} until ${utcClock(grant.endsAt)}.`];
    if (was.endsAt.getTime() === grant.endsAt.getTime()) return [];
    return [`May start a shell on ${names} until ${utcClock(grant.endsAt)} instead of ${utcClock(was.endsAt)}.`];
  });
};

const alsoNot = (after: readonly PlannedGrant[]): string[] => {
  const count = new Set(after.flatMap(({ instances }) => instances.map(refKey))).size;
  return [
    count === 1 ? 'any other instance' : `any instance besides these ${count}`,
    'port forwarding',
    'SSH',
    'run command',
    'reading other people’s sessions',
  ];
};

/**
 * The change from one set of live grants to another, in JSON lines and in plain words. Ends that are not known yet read
 * "connect + 2 h". `room` counts what would really be written.
 */
export const describeChange = (input: {
  carrier: PolicyCarrier;
  accountName: string;
  /** The role's name, as AWS shows it. */
  principal: string;
  before: readonly PlannedGrant[];
  after: readonly PlannedGrant[];
  nameOf: (ref: InstanceRef) => string;
}): PolicyChange => {
  const { carrier, before, after, nameOf } = input;
  const was = pretty(carrier, before);
  const whole = pretty(carrier, after);
  const room = headroom(carrier, after);
  return {
    accountId: carrier.accountId,
    accountName: input.accountName,
    principal: input.principal,
    allows: sentences(before, after, nameOf),
    stillNot: alsoNot(after),
    diff: lineDiff(was === '' ? [] : was.split('\n'), whole === '' ? [] : whole.split('\n')),
    whole,
    room: {
      now: before.length === 0 ? 0 : headroom(carrier, before).characters,
      after: room.characters,
      limit: room.limit,
      moreInstances: room.moreInstances,
    },
  };
};

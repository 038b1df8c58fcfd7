/** A request that is on record, as it stands to be judged now: the approver's card and the decision read it the same way. */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { type AccessRequest, type Instance, type Person, refKey, type TagChange } from '../../src/shared/access.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { RuleSet } from '../rules/rules.ts';
import { instanceOf, loadInstancesByRef } from '../store/instances.ts';
import { directoryWords, type PersonFacts } from '../store/people.ts';
import type { AccessDeps } from './deps.ts';
import { gatherAsk } from './gather.ts';
import { changedLately, nothingHeld } from './held.ts';
import { type Ask, isSamePerson, mayDecide } from './judge.ts';
import { notWaiting } from './rows.ts';
import { gatherWider } from './wider.ts';
import { gatherYeses, saidYesAlready } from './yeses.ts';

export type Recorded = {
  request: AccessRequest;
  /** The requester as the identity store has them now. */
  requester: PersonFacts;
  /** With the tags that the instances have now; those that left the inventory are not in it. */
  ask: Ask;
  /** Instances of the request that left the inventory. */
  gone: Instance[];
  /** IAM groups whose members would all get it. */
  wider: GroupReach[];
  /** Trusted tags that changed in the last 24 h, by `refKey`. */
  tagChanges: ReadonlyMap<string, readonly TagChange[]>;
  seenHash: string;
};

/**
 * SHA-256 (hex) over everything that a yes would mean (threats RQ-10): the tags as they were shown when it was asked and
 * as they are now, so that a tag changed in between is noticed; those that changed since, even if they were set back (RQ-07); the group
 * and its members, where a group carries it (RQ-20).
 */
const seenHashOf = (
  request: AccessRequest,
  { now, wider, tagChanges }: Pick<Recorded, 'wider' | 'tagChanges'> & { now: ReadonlyMap<string, Instance> },
  set: RuleSet,
): string => {
  // Earlier ones were there when it was asked, and are forgotten at some time while the card is open.
  const changedSince = (changes: readonly TagChange[]) => {
    const since = changes.filter(({ at }) => at > request.submittedAt);
    return since.length === 0 ? {} : { changedSince: since };
  };
  const canonical = canonicalize({
    requestId: request.id,
    requester: { id: request.requester.id, userName: request.requester.userName },
    purpose: request.purpose,
    instances: request.instances.map((instance) => ({
      accountId: instance.accountId,
      region: instance.region,
      instanceId: instance.instanceId,
      name: instance.name,
      tags: instance.tags,
      tagsNow: now.get(refKey(instance))?.tags ?? null,
      ...changedSince(tagChanges.get(refKey(instance)) ?? []),
    })),
    capability: request.capability,
    durationSeconds: request.durationSeconds,
    reason: request.reason,
    ticket: request.ticket,
    breakGlass: false,
    wider: wider.map(({ accountId, group, members, names, membersHash }) => ({
      ...{ accountId, group, members, names },
      ...(membersHash === undefined ? {} : { membersHash }),
    })),
    ruleSetHash: set.hash,
  });
  if (canonical === undefined) throw new Error(`Request ${request.id} has no canonical form.`);
  return createHash('sha256').update(canonical).digest('hex');
};

const extendsFrom = async (deps: Pick<AccessDeps, 'db'>, request: AccessRequest): Promise<Date | null> => {
  if (request.purpose.kind === 'new') return null;
  const grant = await deps.db
    .selectFrom('grants')
    .select('ends_at')
    .where('id', '=', request.purpose.grantId)
    .executeTakeFirstOrThrow();
  return grant.ends_at;
};

/** The person as the identity store has them now; who left it is somebody without groups, disabled. */
export const presentPerson = async (
  deps: Pick<AccessDeps, 'directory' | 'now'>,
  person: Person,
): Promise<PersonFacts> =>
  (await deps.directory.person(person.id)) ?? {
    ...person,
    email: null,
    enabled: false,
    groups: [],
    checkedAt: deps.now(),
  };

/** Reads a request's present facts. */
export const gatherRecorded = async (
  deps: Pick<AccessDeps, 'db' | 'now' | 'directory' | 'groupReach'>,
  set: RuleSet,
  request: AccessRequest,
): Promise<Recorded> => {
  const [requester, rows, from, wider] = await Promise.all([
    presentPerson(deps, request.requester),
    loadInstancesByRef(deps.db, request.instances),
    extendsFrom(deps, request),
    request.state === 'waiting' ? gatherWider(deps, request.instances) : [],
  ]);
  const now = new Map(
    [...rows].flatMap(([key, row]) => (row.gone_at === null ? [[key, instanceOf(row)] as const] : [])),
  );
  const instances = request.instances.flatMap((instance) => now.get(refKey(instance)) ?? []);
  const ask = await gatherAsk(deps, {
    person: requester,
    instances,
    capability: request.capability,
    durationSeconds: request.durationSeconds,
    reason: request.reason,
    ticket: request.ticket,
    extendsFrom: from,
    requestId: request.id,
    // A person decides it.
    held: nothingHeld,
  });
  const at = deps.now();
  const tagChanges = new Map([...rows].map(([key, row]) => [key, changedLately(row, at)] as const));
  return {
    request,
    requester,
    ask,
    gone: request.instances.filter((instance) => !now.has(refKey(instance))),
    wider,
    tagChanges,
    seenHash: seenHashOf(request, { now, wider, tagChanges }, set),
  };
};

/** Why this person may not decide the request now, or null when they may. */
export const whyNot = async (
  deps: Pick<AccessDeps, 'db' | 'sealKey' | 'directory' | 'now'>,
  set: RuleSet,
  { recorded, approver }: { recorded: Recorded; approver: PersonFacts },
): Promise<Refusal | null> => {
  const { request, ask } = recorded;
  if (isSamePerson(approver, recorded.requester)) return new Refusal('own_request');
  if (request.state !== 'waiting') {
    const row = await deps.db
      .selectFrom('requests')
      .select(['id', 'state', 'closed_at'])
      .where('id', '=', request.id)
      .executeTakeFirstOrThrow();
    return row.state === 'waiting' ? new Refusal('changed') : notWaiting(deps.db, row);
  }
  // Nobody may have come to close it yet.
  if (Date.parse(request.lapsesAt) <= deps.now().getTime()) {
    return new Refusal('wrong_state', { message: 'The request has lapsed.', at: request.lapsesAt });
  }
  const already = saidYesAlready(await gatherYeses(deps, set, recorded), approver);
  if (already !== null) return new Refusal('wrong_state', { message: already });
  if (!recorded.requester.enabled) {
    const message = `${request.requester.displayName} is no longer in ${directoryWords(request.requester.id)}.`;
    return new Refusal('not_allowed', { message });
  }
  if (ask.instances.length === 0) {
    return new Refusal('not_allowed', { message: 'None of the instances is in the inventory any more.' });
  }
  if (!mayDecide(set, ask, approver)) {
    return new Refusal('not_allowed', { message: 'No rule lets you decide this request.' });
  }
  return null;
};

/**
 * What to do next for one principal: a pure function of what should be, what was seen and what time it is (design 7).
 * Only the next steps are planned; after they are done the world is looked at again, so a crash between any two of them is
 * repaired by simply planning anew (promise 5).
 */
import type { InstanceRef } from '../../src/shared/access.ts';
import {
  type CompiledGrant,
  type CompiledPolicy,
  compileAccessPolicy,
  type PolicyCarrier,
  type SlotDocument,
} from '../access-policy/compile.ts';
import { effective, type PolicyWrite, policyWrites, type SeenDocument } from '../access-policy/policy-writes.ts';

/** A grant that is not finished. `sealing`: ended, but the looks after its end are not done (aws-facts 6, step 4). */
export type WishedGrant = {
  id: string;
  instances: InstanceRef[];
  /** Whose sessions it explains, as SSM names owners. */
  owner: string;
} & (
  | { state: 'ready'; activateBy: Date }
  | { state: 'granting' | 'active'; connectedAt: Date; endsAt: Date }
  | { state: 'ending'; policyGoneAt: Date | null }
  /** `nextLookAt`: a pass that comes later than this looks; `dueAt`: when one must come, in between everybody is looked at at once. */
  | { state: 'sealing'; nextLookAt: Date; dueAt: Date }
);

export type Wished = { carrier: PolicyCarrier; grants: WishedGrant[] };

/** `elsewhere`: a live grant of its owner on another principal covers it, as where an account went from users to a group. */
export type SeenSession = { region: string; id: string; target: string; owner: string; elsewhere: boolean };

/** What was seen in AWS since the last change we made there; `undefined`: not looked yet. */
export type Seen = {
  documents: readonly SeenDocument[] | undefined;
  /** Active sessions of the owners, and the regions that were asked. */
  sessions: { regions: readonly string[]; found: readonly SeenSession[] } | undefined;
  /** Since the policy of what ends is gone its sessions could not be ended, or not all: nothing that begins waits for them any longer. */
  tended?: boolean;
};

export type Step =
  | { do: 'lapse'; grantId: string }
  | { do: 'begin-ending'; grantId: string }
  /** No room: the youngest grant gives way, before anything is written. */
  | { do: 'refuse-full'; grantId: string }
  | { do: 'read-policy' }
  /** In this order. `opens`: something is put or attached, so the principal must be ours. `grants`: those that the documents are for. */
  | { do: 'change-policy'; writes: PolicyWrite[]; opens: boolean; grants: readonly WishedGrant[] }
  | { do: 'note-policy-gone'; grantId: string }
  | { do: 'activate'; grantId: string; documents: SlotDocument[] }
  | { do: 'look'; regions: string[] }
  /** Ends a session that no live grant covers. `grantId`: the ended grant it came from; null: nobody can explain it. */
  | { do: 'terminate'; session: SeenSession; grantId: string | null }
  | { do: 'finish'; grantId: string }
  | { do: 'note-look'; grantId: string };

type Live = Extract<WishedGrant, { state: 'granting' | 'active' }>;
type Ended = Extract<WishedGrant, { state: 'ending' | 'sealing' }>;

const isLive = (grant: WishedGrant): grant is Live => grant.state === 'granting' || grant.state === 'active';

/** Ended grants that are to be looked after now. */
const lookedAfter = (grants: readonly WishedGrant[], now: Date): Ended[] =>
  grants.filter(
    (grant): grant is Ended => grant.state === 'ending' || (grant.state === 'sealing' && grant.nextLookAt <= now),
  );

const dueRows = (grants: readonly WishedGrant[], now: Date): Step[] =>
  grants.flatMap((grant): Step[] => {
    if (grant.state === 'ready' && grant.activateBy <= now) return [{ do: 'lapse', grantId: grant.id }];
    if (isLive(grant) && grant.endsAt <= now) return [{ do: 'begin-ending', grantId: grant.id }];
    return [];
  });

const compiled = (live: readonly Live[]): CompiledGrant[] =>
  live.map(({ id, instances, connectedAt, endsAt }) => ({ id, instances, notBefore: connectedAt, endsAt }));

const isOn = (grant: WishedGrant, { region, target }: SeenSession): boolean =>
  grant.instances.some((ref) => ref.region === region && ref.instanceId === target);

/** Ended grants, ones that end now first: they explain a session before those that have ended already. */
const pastOf = (grants: readonly WishedGrant[]): Ended[] => [
  ...grants.filter((grant): grant is Ended => grant.state === 'ending'),
  ...grants.filter((grant): grant is Ended => grant.state === 'sealing'),
];

/**
 * May this session live on? One on a role must be covered by a live grant. On a user or a group, whose other sessions are not
 * ours to judge, only those on what has ended are looked at; and while a group goes on having access, its members keep theirs,
 * but for whom the ended grant was.
 */
const mayStay = ({ carrier, grants }: Wished, session: SeenSession): boolean => {
  const live = grants.filter(isLive).filter((grant) => isOn(grant, session));
  if (session.elsewhere || live.some(({ owner }) => owner === session.owner)) return true;
  if (carrier.kind === 'role') return false;
  const past = pastOf(grants).filter((grant) => isOn(grant, session));
  if (past.length === 0) return true;
  return live.length > 0 && past.every(({ owner }) => owner !== session.owner);
};

/** The ended grant that a session came from; its owner's before another's. */
const cameFrom = ({ grants }: Wished, session: SeenSession): string | null => {
  const past = pastOf(grants).filter((grant) => isOn(grant, session));
  return (past.find(({ owner }) => owner === session.owner) ?? past[0])?.id ?? null;
};

/** What has no room makes the youngest give way: one that is being given, else one that was given. */
const giveWay = (live: readonly Live[]): Step[] => {
  const youngest = live.toSorted((a, b) => b.connectedAt.getTime() - a.connectedAt.getTime());
  const grant = youngest.find(({ state }) => state === 'granting') ?? youngest[0];
  return grant === undefined ? [] : [{ do: 'refuse-full', grantId: grant.id }];
};

/** What should be in IAM: exactly what lives, with nothing to resume of what has ended. */
const wishedPolicy = ({ carrier, grants }: Wished): CompiledPolicy =>
  compileAccessPolicy({
    ...carrier,
    grants: compiled(grants.filter(isLive)),
    past: pastOf(grants).flatMap(({ instances }) => instances),
  });

const policySteps = (wished: Wished, documents: Seen['documents']): Step[] => {
  const wish = wishedPolicy(wished);
  if (!wish.fits) return giveWay(wished.grants.filter(isLive));
  if (documents === undefined) return [{ do: 'read-policy' }];
  const writes = policyWrites(documents, wish.documents);
  if (writes.length > 0) {
    const opens = writes.some((write) => write.do === 'put' || write.do === 'attach');
    return [{ do: 'change-policy', writes, opens, grants: wished.grants }];
  }
  // From here on IAM was seen to hold exactly what should be.
  return wished.grants.flatMap((grant): Step[] => {
    if (grant.state === 'ending' && grant.policyGoneAt === null) return [{ do: 'note-policy-gone', grantId: grant.id }];
    if (grant.state === 'granting') return [{ do: 'activate', grantId: grant.id, documents: effective(documents) }];
    return [];
  });
};

/** Ends each of these sessions that may not live on. */
export const endStray = (wished: Wished, found: readonly SeenSession[]): Array<Extract<Step, { do: 'terminate' }>> =>
  found
    .filter((session) => !mayStay(wished, session))
    .map((session) => ({ do: 'terminate', session, grantId: cameFrom(wished, session) }));

/** Where sessions of ended grants are to be looked for now. */
export const lookRegions = ({ grants }: Wished, now: Date): string[] =>
  [...new Set(lookedAfter(grants, now).flatMap(({ instances }) => instances.map(({ region }) => region)))].sort();

const sessionSteps = (wished: Wished, sessions: Seen['sessions'], now: Date): Step[] => {
  const ended = lookedAfter(wished.grants, now);
  if (ended.length === 0) return [];
  const regions = lookRegions(wished, now);
  if (sessions === undefined || regions.some((region) => !sessions.regions.includes(region))) {
    return [{ do: 'look', regions }];
  }
  const stray = endStray(wished, sessions.found);
  if (stray.length > 0) return stray;
  return ended.map(({ id, state }) => ({ do: state === 'ending' ? 'finish' : 'note-look', grantId: id }));
};

/**
 * What ends never waits for what begins: while anything ends, what is being given is left out of the documents until the policy of
 * what ends is gone and its sessions are. Sessions that cannot be ended keep nothing from beginning.
 */
const inThisTurn = (wished: Wished, seen: Seen): Wished => {
  const ending = wished.grants.filter((grant) => grant.state === 'ending');
  const policyStands = ending.some(({ policyGoneAt }) => policyGoneAt === null);
  const quietOrNotLooked = seen.sessions !== undefined || seen.tended !== true;
  if (ending.length === 0 || !(policyStands || quietOrNotLooked)) return wished;
  return { ...wished, grants: wished.grants.filter(({ state }) => state !== 'granting') };
};

/**
 * The next steps; empty when everything is as it should be for now. Times first, then the access policy, then sessions:
 * a session is only looked for when nothing can start a new one any more.
 * @throws what the compiler throws (threats RQ-01).
 */
export const planPrincipal = (wished: Wished, seen: Seen, now: Date): Step[] => {
  const due = dueRows(wished.grants, now);
  if (due.length > 0) return due;
  const policy = policySteps(inThisTurn(wished, seen), seen.documents);
  return policy.length > 0 ? policy : sessionSteps(wished, seen.sessions, now);
};

const nextOf = (grant: WishedGrant, soon: Date): Date => {
  switch (grant.state) {
    case 'ready':
      return grant.activateBy;
    case 'active':
      return grant.endsAt;
    case 'sealing':
      return grant.dueAt;
    case 'granting':
    case 'ending':
      return soon;
  }
};

/** When the principal must be looked at again if nothing else happens; null: never. */
export const nextDue = (wished: Wished, soon: Date): Date | null => {
  const instants = wished.grants.map((grant) => nextOf(grant, soon).getTime());
  return instants.length === 0 ? null : new Date(Math.min(...instants));
};

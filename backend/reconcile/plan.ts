/**
 * What to do next for one principal: a pure function of what should be, what was seen and what time it is (design 7).
 * Only the next steps are planned; after they are done the world is looked at again, so a crash between any two of them is
 * repaired by simply planning anew (promise 5).
 */
import type { InstanceRef } from '../../src/shared/access.ts';
import { type CompiledGrant, compileAccessPolicy, type PolicyCarrier } from '../access-policy/compile.ts';

/** A grant that is not finished. `sealing`: ended, but the looks after its end are not done (aws-facts 6, step 4). */
export type WishedGrant = { id: string; instances: InstanceRef[] } & (
  | { state: 'ready'; activateBy: Date }
  | { state: 'granting' | 'active'; connectedAt: Date; endsAt: Date }
  | { state: 'ending'; policyGoneAt: Date | null }
  | { state: 'sealing'; nextLookAt: Date }
);

export type Wished = { carrier: PolicyCarrier; grants: WishedGrant[] };

export type SeenSession = { region: string; id: string; target: string };

/** What was seen in AWS since the last change we made there; `undefined`: not looked yet. */
export type Seen = {
  document: string | null | undefined;
  /** Active sessions of the owner, and the regions that were asked. */
  sessions: { regions: readonly string[]; found: readonly SeenSession[] } | undefined;
};

export type Step =
  | { do: 'lapse'; grantId: string }
  | { do: 'begin-ending'; grantId: string }
  /** No room: the youngest grant gives way, before anything is written. */
  | { do: 'refuse-full'; grantId: string }
  | { do: 'read-policy' }
  | { do: 'write-policy'; document: string }
  | { do: 'delete-policy' }
  | { do: 'note-policy-gone'; grantId: string }
  | { do: 'activate'; grantId: string; document: string }
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

const covers = (grants: readonly WishedGrant[], { region, target }: SeenSession): WishedGrant | undefined =>
  grants.find(({ instances }) => instances.some((ref) => ref.region === region && ref.instanceId === target));

const policySteps = (wished: Wished, document: string | null | undefined): Step[] => {
  const live = wished.grants.filter(isLive);
  const wish = compileAccessPolicy({ ...wished.carrier, grants: compiled(live) });
  const wishedDocument = wish.documents[0]?.document ?? null;
  if (!wish.fits) {
    const youngest = live
      .filter(({ state }) => state === 'granting')
      .toSorted((a, b) => b.connectedAt.getTime() - a.connectedAt.getTime())[0];
    if (youngest !== undefined) return [{ do: 'refuse-full', grantId: youngest.id }];
  }
  if (document === undefined) return [{ do: 'read-policy' }];
  if (document !== wishedDocument) {
    return wishedDocument === null ? [{ do: 'delete-policy' }] : [{ do: 'write-policy', document: wishedDocument }];
  }
  // From here on IAM was seen to hold exactly what should be.
  return wished.grants.flatMap((grant): Step[] => {
    if (grant.state === 'ending' && grant.policyGoneAt === null) return [{ do: 'note-policy-gone', grantId: grant.id }];
    if (grant.state === 'granting' && document !== null) return [{ do: 'activate', grantId: grant.id, document }];
    return [];
  });
};

const sessionSteps = (wished: Wished, sessions: Seen['sessions'], now: Date): Step[] => {
  const ended = lookedAfter(wished.grants, now);
  if (ended.length === 0) return [];
  const regions = [...new Set(ended.flatMap(({ instances }) => instances.map(({ region }) => region)))].sort();
  if (sessions === undefined || regions.some((region) => !sessions.regions.includes(region))) {
    return [{ do: 'look', regions }];
  }
  const live = wished.grants.filter(isLive);
  const stray = sessions.found.filter((session) => covers(live, session) === undefined);
  if (stray.length > 0) {
    // One that ends now explains a session before one that has ended already.
    const past = [
      ...wished.grants.filter(({ state }) => state === 'ending'),
      ...wished.grants.filter(({ state }) => state === 'sealing'),
    ];
    return stray.map((session) => ({ do: 'terminate', session, grantId: covers(past, session)?.id ?? null }));
  }
  return ended.map(({ id, state }) => ({ do: state === 'ending' ? 'finish' : 'note-look', grantId: id }));
};

/**
 * The next steps; empty when everything is as it should be for now. Times first, then the access policy, then sessions:
 * a session is only looked for when nothing can start a new one any more.
 * @throws what the compiler throws (threats RQ-01).
 */
export const planPrincipal = (wished: Wished, seen: Seen, now: Date): Step[] => {
  const due = dueRows(wished.grants, now);
  if (due.length > 0) return due;
  const policy = policySteps(wished, seen.document);
  return policy.length > 0 ? policy : sessionSteps(wished, seen.sessions, now);
};

const nextOf = (grant: WishedGrant, soon: Date): Date => {
  switch (grant.state) {
    case 'ready':
      return grant.activateBy;
    case 'active':
      return grant.endsAt;
    case 'sealing':
      return grant.nextLookAt;
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

/** The approver's card: who, what, why, how long, and exactly what a yes would change (look 05). */
import { sql } from 'kysely';
import { type AccessRequest, type Grant, type Instance, type InstanceRef, refKey } from '../../src/shared/access.ts';
import { refusalAdvice } from '../../src/shared/refusal.ts';
import type { PolicyChange, RequestCard } from '../../src/shared/views.ts';
import { describeChange } from '../access-policy/describe-change.ts';
import type { PlannedGrant } from '../access-policy/headroom.ts';
import { loadGrants } from '../store/grants.ts';
import type { Db } from '../store/open.ts';
import { loadRequest } from '../store/requests.ts';
import { type Reader, type Visible, visibleTo } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { gatherCandidates, gatherPerson } from './gather.ts';
import { approversOf, judgeInstances, judgementOf, plainPerson } from './judge.ts';
import { carrierOf, plannedFor, plannedGrants } from './principals.ts';
import { gatherRecorded, type Recorded, whyNot } from './recorded.ts';
import { changedSinceYes } from './yeses.ts';

const historyDays = 30;

const endedEarly = (grant: Grant): boolean =>
  (grant.state === 'ending' || grant.state === 'ended') && grant.cause.kind !== 'time';

/** Seconds between the first connect and the end, or now when it lives. */
const usedOf = (grant: Grant, now: Date): number => {
  if (grant.state === 'ready' || grant.state === 'lapsed' || grant.state === 'failed' || grant.connectedAt === null) {
    return 0;
  }
  const until = Math.min(now.getTime(), Date.parse(grant.endsAt));
  return Math.max(0, Math.floor((until - Date.parse(grant.connectedAt)) / 1000));
};

/** What the card tells of somebody beyond the request itself: who may decide it reads all of that, others what they see anyway (API-01). */
type Seen = Pick<Visible, 'requests' | 'grants'>;
const all: Seen = { requests: () => sql<boolean>`true`, grants: () => sql<boolean>`true` };

/** What this person asked of any of these instances in the last 30 days, without this request. */
const historyOf = async (
  db: Db,
  request: AccessRequest,
  { now, seen }: { now: Date; seen: Seen },
): Promise<RequestCard['history']> => {
  const since = new Date(now.getTime() - historyDays * 24 * 3_600_000);
  // From the person's requests of late, which are few, and not from all that ever was on the instances (see `gather.ts`).
  const rows = await db
    .selectFrom('requests')
    .select(['id', 'state', 'submitted_at'])
    .where('requester_id', '=', request.requester.id)
    .where('submitted_at', '>', since)
    .where('id', '<>', request.id)
    .where(seen.requests)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('request_instances')
          .select('request_id')
          .whereRef('request_id', '=', 'requests.id')
          .where('instance_id', 'in', ['', ...request.instances.map(({ instanceId }) => instanceId)])
          .offset(0),
      ),
    )
    .orderBy('submitted_at', 'desc')
    .execute();
  const approved = rows.filter((row) => row.state === 'approved').map((row) => row.id);
  const grants = approved.length === 0 ? [] : await loadGrants(db, (eb) => eb('grants.request_id', 'in', approved));
  return {
    asked: rows.length,
    approved: approved.length,
    denied: rows.filter((row) => row.state === 'denied').length,
    lastAt: rows[0]?.submitted_at.toISOString() ?? null,
    usedSeconds: grants.reduce((sum, grant) => sum + usedOf(grant, now), 0),
    endedEarly: grants.filter(endedEarly).length,
  };
};

/** What this person has while it is to be decided; of a closed request it is nobody's matter any more. */
const hasNowOf = async (db: Db, request: AccessRequest, seen: Seen): Promise<Grant[]> => {
  if (request.state !== 'waiting') return [];
  return await loadGrants(db, (eb) =>
    eb.and([
      eb('grants.person_id', '=', request.requester.id),
      eb('grants.state', 'in', ['ready', 'granting', 'active', 'ending']),
      seen.grants(eb),
    ]),
  );
};

/** The grants after a yes: one more, or the extended one with its new end. */
const afterYes = (request: AccessRequest, before: readonly PlannedGrant[], asked: PlannedGrant): PlannedGrant[] => {
  const { purpose } = request;
  if (purpose.kind === 'new') return [...before, { ...asked, id: request.id }];
  return before.map((grant) =>
    grant.id === purpose.grantId && 'endsAt' in grant
      ? { ...grant, endsAt: new Date(grant.endsAt.getTime() + request.durationSeconds * 1000) }
      : grant,
  );
};

const changesOf = async (deps: Pick<AccessDeps, 'db' | 'config'>, request: AccessRequest): Promise<PolicyChange[]> => {
  const person = request.requester;
  const names = new Map(request.instances.map((instance: Instance) => [refKey(instance), instance.name]));
  const nameOf = (ref: InstanceRef) => names.get(refKey(ref)) || ref.instanceId;
  const changes: PolicyChange[] = [];
  for (const { accountId, accountName, grant } of plannedFor(request.instances, request.durationSeconds)) {
    const { principal, ...carrier } = await carrierOf(deps.db, deps, { accountId, person });
    const before = await plannedGrants(deps.db, deps, { accountId, person });
    const after = afterYes(request, before, grant);
    changes.push(describeChange({ carrier, accountName, principal, before, after, nameOf }));
  }
  return changes;
};

const whyWords = (approvers: number, needed: number, advice: string | null): string => {
  const people = `It asks for ${needed} of ${approvers} ${approvers === 1 ? 'person' : 'people'}.`;
  return advice === null ? people : `${people} ${advice}`;
};

/** What changed of the tags that rules trust, of those instances where something did. */
const changedTags = ({ request, tagChanges }: Recorded): Pick<RequestCard, 'tagChanges'> => {
  const changed = request.instances.flatMap(({ accountId, region, instanceId, name }) => {
    const changes = tagChanges.get(refKey({ accountId, region, instanceId })) ?? [];
    return changes.length === 0 ? [] : [{ instance: { accountId, region, instanceId }, name, changes: [...changes] }];
  });
  return changed.length === 0 ? {} : { tagChanges: changed };
};

/** The card of a request that the caller may see. @throws Refusal `not_found`. */
export const card = async (deps: AccessDeps, caller: Reader, requestId: string): Promise<RequestCard> => {
  const set = deps.rules.current();
  const now = deps.now();
  const request = await loadRequest(deps.db, caller, requestId, now);
  const [recorded, approver, candidates] = await Promise.all([
    gatherRecorded(deps, set, request),
    gatherPerson(deps, caller.person.id),
    gatherCandidates(deps),
  ]);
  const [refusal, changedSince] = await Promise.all([
    whyNot(deps, set, { recorded, approver }),
    changedSinceYes(deps.db, recorded, approver.id),
  ]);
  const seen = refusal === null ? all : visibleTo(caller);
  const [history, hasNow, change, row] = await Promise.all([
    historyOf(deps.db, request, { now, seen }),
    hasNowOf(deps.db, request, seen),
    request.state === 'waiting' ? changesOf(deps, request) : [],
    deps.db
      .selectFrom('requests')
      .select(['rule_id', 'approvals_needed'])
      .where('id', '=', requestId)
      .executeTakeFirstOrThrow(),
  ]);
  const approvers = approversOf(set, recorded.ask, candidates).map(plainPerson);
  const judgement = judgementOf(judgeInstances(set, recorded.ask));
  return {
    request,
    seenHash: recorded.seenHash,
    wider: recorded.wider,
    ...(request.state === 'waiting' ? changedTags(recorded) : {}),
    change,
    why: {
      ruleId: row.rule_id,
      text: whyWords(approvers.length, row.approvals_needed, judgement.advice),
      approvers,
      approvalsNeeded: row.approvals_needed,
    },
    history,
    hasNow,
    ...(changedSince === null ? {} : { changedSinceYes: changedSince }),
    mayDecide:
      refusal === null ? { yes: true } : { yes: false, why: refusal.detail.message ?? refusalAdvice[refusal.code] },
  };
};

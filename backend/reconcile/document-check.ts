/**
 * Before access is given, or lengthened, on a session document: is it the one of the template (threats AWS-12)? A changed one could run shells as
 * somebody else, without logging, or for longer than was approved.
 */
import { sessionDocumentFor } from '../access-policy/compile.ts';
import {
  sessionDocumentDifferences,
  sessionDocumentSetting,
  sessionDocuments,
} from '../access-policy/session-document.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { AccountConfig } from '../config.ts';
import type { WishedGrant } from './plan.ts';

type Live = Extract<WishedGrant, { state: 'granting' | 'active' }>;
const isLive = (grant: WishedGrant): grant is Live => grant.state === 'granting' || grant.state === 'active';

/** The session documents that these documents of a principal let sessions be started with. */
export const carriedDocuments = (documents: ReadonlyArray<{ document: string }>): string[] =>
  sessionDocuments
    .filter(({ name }) => documents.some(({ document }) => document.includes(`:document/${name}"`)))
    .map(({ name }) => name);

const minutesOf = (name: string): number => sessionDocuments.find((one) => one.name === name)?.minutes ?? 0;

/**
 * Grants whose more time is longer than any session document that their principal carries now.
 * @param carried as `carriedDocuments` has them.
 * @returns with the last instant to which the carried one would let them go on.
 */
export const beyondCarried = (
  grants: readonly WishedGrant[],
  carried: readonly string[],
): Array<{ id: string; endsAt: Date }> => {
  const minutes = Math.max(0, ...carried.map(minutesOf));
  return grants.filter(isLive).flatMap(({ id, state, connectedAt, endsAt }) => {
    const last = new Date(connectedAt.getTime() + minutes * 60_000);
    return minutes > 0 && state === 'active' && last < endsAt ? [{ id, endsAt: last }] : [];
  });
};

/**
 * @param grants all of the principal: one document serves them, the shortest that fits the longest of them.
 * @param carried the session documents that the principal carries now: one that it does not is compared in every region.
 * @returns advice for whoever waits, when a document that something begins on, or goes on with for longer, is not as it should be.
 * @throws AwsProblem when SSM cannot be asked.
 */
export const documentTrouble = async (
  ssm: Pick<Ssm, 'sessionDocument'>,
  account: AccountConfig,
  { grants, carried }: { grants: readonly WishedGrant[]; carried: readonly string[] },
): Promise<string | null> => {
  const live = grants.filter(isLive);
  const beginning = live.filter(({ state }) => state === 'granting');
  if (beginning.length === 0 && beyondCarried(grants, carried).length === 0) return null;
  const name = sessionDocumentFor(live.map(({ connectedAt, endsAt }) => ({ notBefore: connectedAt, endsAt })));
  const minutes = minutesOf(name);
  const asked = carried.includes(name) ? beginning : live;
  const regions = new Set(asked.flatMap(({ instances }) => instances.map(({ region }) => region)));
  for (const region of regions) {
    const text = await ssm.sessionDocument(account.id, region, name);
    const differences = sessionDocumentDifferences(text, minutes, sessionDocumentSetting(account));
    if (differences.length === 0) continue;
    return (
      `The session document ${name} in ${account.name}, ${region}, is not as Curfew’s template makes it (${differences.join(', ')}). ` +
      'An AWS admin finds out who changed it and deploys curfew-account.yml there anew. Then ask again.'
    );
  }
  return null;
};

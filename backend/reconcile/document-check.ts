/**
 * Before access is given on a session document: is it the one of the template (threats AWS-12)? A changed one could run shells as
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

/**
 * @param grants all of the principal: one document serves them, the shortest that fits the longest of them.
 * @returns advice for whoever waits, when a document of the regions that are about to be granted is not as it should be.
 * @throws AwsProblem when SSM cannot be asked.
 */
export const documentTrouble = async (
  ssm: Pick<Ssm, 'sessionDocument'>,
  account: AccountConfig,
  grants: readonly WishedGrant[],
): Promise<string | null> => {
  const live = grants.filter(isLive);
  const beginning = live.filter(({ state }) => state === 'granting');
  if (beginning.length === 0) return null;
  const name = sessionDocumentFor(live.map(({ connectedAt, endsAt }) => ({ notBefore: connectedAt, endsAt })));
  const minutes = sessionDocuments.find((one) => one.name === name)?.minutes ?? 0;
  const regions = new Set(beginning.flatMap(({ instances }) => instances.map(({ region }) => region)));
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

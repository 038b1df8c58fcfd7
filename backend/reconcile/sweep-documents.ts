/** Session documents: a changed one could run a shell as somebody else, without logging, or for longer (threats AWS-12). */
import { sessionDocumentDifferences, sessionDocuments } from '../access-policy/session-document.ts';
import type { AccountSweep } from './account-sweep.ts';

/** Compares the documents of one region with what the template makes. */
export const sweepDocuments = async (sweep: AccountSweep, region: string): Promise<void> => {
  const { account, aws, config } = sweep;
  const seen: string[] = [];
  for (const { name, minutes } of sessionDocuments) {
    if (sweep.stopped()) return;
    const text = await aws.ssm.sessionDocument(account.id, region, name);
    const differences = sessionDocumentDifferences(text, minutes, sweep.documents);
    if (differences.length === 0) continue;
    const subject = `arn:${config.partition}:ssm:${region}:${account.id}:document/${name}`;
    seen.push(subject);
    await sweep.note({
      kind: 'session_document_changed',
      region,
      subject,
      what: `The session document ${name} is not as Curfew’s template makes it: ${differences.join(', ')}. Nothing is granted on it until it is.`,
      advice: `Find out in CloudTrail who changed it (UpdateDocument, UpdateDocumentDefaultVersion), then deploy deploy/curfew-account.yml in ${region} anew, or set sessionDocuments of this account in the configuration to the parameters of your stack.`,
    });
  }
  await sweep.closeUnseen(['session_document_changed'], region, seen);
};

/** What the procedures are made of; `server.ts` puts it together. */
import type { AccessRequest, Connection, Grant, RequestDraft } from '../../src/shared/access.ts';
import type { BackendInfo, DecideInput, ExtendOutcome, Preview, RequestCard } from '../../src/shared/views.ts';
import type { AuditKey } from '../audit/heads.ts';
import type { ChainWatch } from '../audit/state.ts';
import type { Reader } from '../store/visibility.ts';
import type { InstanceList } from './instance-list.ts';
import type { OverviewDeps } from './overview.ts';
import type { SignInDesk } from './sign-in.ts';
import type { Streams } from './streams.ts';

/**
 * The decisions (`access/`). Each takes who calls, answers what the windows draw, and throws Refusals; ids of what the
 * caller may not see are answered like ids of nothing.
 */
export type Access = {
  preview: (reader: Reader, draft: RequestDraft) => Promise<Preview>;
  submit: (reader: Reader, draft: RequestDraft) => Promise<AccessRequest>;
  withdraw: (reader: Reader, input: { requestId: string }) => Promise<AccessRequest>;
  card: (reader: Reader, input: { requestId: string }) => Promise<RequestCard>;
  claim: (reader: Reader, input: { requestId: string }) => Promise<void>;
  decide: (reader: Reader, input: DecideInput) => Promise<AccessRequest>;
  connect: (reader: Reader, input: { grantId: string }) => Promise<{ grant: Grant; connection: Connection }>;
  extend: (
    reader: Reader,
    input: { grantId: string; bySeconds: number; reason: string | null },
  ) => Promise<ExtendOutcome>;
  end: (reader: Reader, input: { grantId: string; comment: string | null }) => Promise<Grant>;
  /** Sign-out: ends all that the caller has. @returns the ids of the grants that it ended. */
  endAllOfPerson: (reader: Reader) => Promise<string[]>;
};

export type ApiDeps = OverviewDeps & {
  /** Without the time, which is told as it is. */
  info: Omit<BackendInfo, 'serverTime'>;
  access: Access;
  inventory: { refresh: () => Promise<void> };
  instances: InstanceList;
  signIn: SignInDesk;
  streams: Streams;
  chain: ChainWatch;
  auditKey: AuditKey;
};

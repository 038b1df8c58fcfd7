/** What the procedures are made of; `server.ts` puts it together. */
import type { BackendInfo } from '../../src/shared/views.ts';
import type { Access } from '../access/access.ts';
import type { AuditKey } from '../audit/heads.ts';
import type { ChainWatch } from '../audit/state.ts';
import type { Skew } from '../aws/clock-skew.ts';
import type { InstanceList } from './instance-list.ts';
import type { OverviewDeps } from './overview.ts';
import type { SignInDesk } from './sign-in.ts';
import type { Streams } from './streams.ts';

export type ApiDeps = OverviewDeps & {
  /** Without the time, which is told as it is. */
  info: Omit<BackendInfo, 'serverTime'>;
  access: Omit<Access, 'lapseDue' | 'closeLeavers' | 'enforceSwitches'>;
  inventory: { refresh: () => Promise<void> };
  instances: InstanceList;
  signIn: SignInDesk;
  streams: Streams;
  chain: ChainWatch;
  auditKey: AuditKey;
  /** AWS's clocks as this backend has heard them. */
  awsClocks: () => readonly Skew[];
};

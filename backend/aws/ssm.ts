/** SSM and EC2 as the backend uses them: who has a session open, ending it, and which instances there are. */
import { DescribeInstancesCommand, type Instance as Ec2Instance } from '@aws-sdk/client-ec2';
import {
  DescribeInstanceInformationCommand,
  DescribeSessionsCommand,
  GetDocumentCommand,
  type InstanceInformation,
  type Session,
  TerminateSessionCommand,
} from '@aws-sdk/client-ssm';
import { z } from 'zod';
import { instanceId } from '../../src/shared/access.ts';
import type { Broker } from './broker.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';
import { createLooks } from './session-looks.ts';

/** An active session as SSM tells it. The owner is an assumed-role or user ARN. */
export type ActiveSession = { region: string; id: string; owner: string; target: string; startedAt: Date | null };

/** One instance as SSM tells it: all but its tags, which EC2 has. */
export type ManagedInstance = {
  instanceId: string;
  /** What SSM calls it: the name of a hybrid node, the host name of others, else its id. */
  name: string;
  kind: 'ec2' | 'hybrid';
  platform: 'Linux' | 'Windows' | 'MacOS';
  online: boolean;
};

export type Tags = Record<string, string>;

/** All of it throws AwsProblem when AWS says no for good. */
export type Ssm = {
  /** Active sessions in a region; of exactly this owner unless it is null. */
  activeSessions: (accountId: string, region: string, owner: string | null) => Promise<ActiveSession[]>;
  /** Ends a session for good; one that is gone already counts as ended. */
  terminate: (accountId: string, region: string, sessionId: string) => Promise<void>;
  /** Every instance that SSM knows in a region; only these ones when ids are given. */
  managedInstances: (accountId: string, region: string, ids?: readonly string[]) => Promise<ManagedInstance[]>;
  /** Tags of EC2 instances, by id. One that EC2 does not know has none. */
  tagsOf: (accountId: string, region: string, ids: readonly string[]) => Promise<ReadonlyMap<string, Tags>>;
  /** A session document's content, as JSON; null: there is none of that name. */
  sessionDocument: (accountId: string, region: string, name: string) => Promise<string | null>;
};

const activeSession = (region: string, session: Session): ActiveSession[] => {
  const { SessionId: id, Owner: owner, Target: target } = session;
  // SSM may still list a session whose end it has recorded.
  if (id === undefined || owner === undefined || target === undefined || session.Status === 'Terminated') return [];
  return [{ region, id, owner, target, startedAt: session.StartDate ?? null }];
};

const platforms = z.enum(['Linux', 'Windows', 'MacOS']).catch('Linux');
/** Most values in one filter. */
const idsAtOnce = { ec2: 200, ssm: 100 };

const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size));

const managedInstance = (information: InstanceInformation): ManagedInstance[] => {
  const id = instanceId.safeParse(information.InstanceId);
  if (!id.success) return [];
  return [
    {
      instanceId: id.data,
      name: information.Name ?? information.ComputerName ?? id.data,
      kind: id.data.startsWith('mi-') ? 'hybrid' : 'ec2',
      platform: platforms.parse(information.PlatformType),
      online: information.PingStatus === 'Online',
    },
  ];
};

export const createSsm = (broker: Broker): Ssm => {
  const informed = (accountId: string, region: string, ids: readonly string[] | null) => {
    const { ssm, call } = broker.account(accountId);
    return allPages<InstanceInformation>(async (token) => {
      const input = {
        MaxResults: 50,
        ...(ids === null ? {} : { Filters: [{ Key: 'InstanceIds', Values: [...ids] }] }),
        ...(token === undefined ? {} : { NextToken: token }),
      };
      const send = () => ssm(region).send(new DescribeInstanceInformationCommand(input));
      const page = await call('ssm:DescribeInstanceInformation', 'inventory', send, region);
      return { items: page.InstanceInformationList ?? [], next: page.NextToken };
    });
  };

  const described = (accountId: string, region: string, ids: readonly string[]): Promise<Ec2Instance[]> => {
    const { ec2, call } = broker.account(accountId);
    return allPages(async (token) => {
      // By filter, not by id: one id that EC2 has forgotten fails the whole call (aws-facts 7).
      const input = {
        Filters: [{ Name: 'instance-id', Values: [...ids] }],
        ...(token === undefined ? {} : { NextToken: token }),
      };
      const send = () => ec2(region).send(new DescribeInstancesCommand(input));
      const page = await call('ec2:DescribeInstances', 'inventory', send, region);
      return { items: (page.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []), next: page.NextToken };
    });
  };

  const looks = new Map<string, (owner: string | null) => Promise<ActiveSession[]>>();
  const looksOf = (accountId: string, region: string) => {
    const key = `${accountId}/${region}`;
    const { ssm, call } = broker.account(accountId);
    const look =
      looks.get(key) ??
      createLooks<ActiveSession>({
        call: (send) => call('ssm:DescribeSessions', 'describe-sessions', send, region),
        page: async (owner, token) => {
          const page = await ssm(region).send(
            new DescribeSessionsCommand({
              State: 'Active',
              MaxResults: 200,
              ...(owner === null ? {} : { Filters: [{ key: 'Owner', value: owner }] }),
              ...(token === undefined ? {} : { NextToken: token }),
            }),
          );
          return {
            items: (page.Sessions ?? []).flatMap((session) => activeSession(region, session)),
            next: page.NextToken,
          };
        },
        ownerOf: ({ owner }) => owner,
      });
    looks.set(key, look);
    return look;
  };

  return {
    activeSessions: (accountId, region, owner) => looksOf(accountId, region)(owner),
    terminate: async (accountId, region, sessionId) => {
      const { ssm, call } = broker.account(accountId);
      try {
        await call(
          'ssm:TerminateSession',
          'terminate-session',
          () => ssm(region).send(new TerminateSessionCommand({ SessionId: sessionId })),
          region,
        );
      } catch (error) {
        if (!(error instanceof AwsProblem && error.kind === 'gone')) throw error;
      }
    },
    managedInstances: async (accountId, region, ids) => {
      const found: ManagedInstance[] = [];
      for (const some of ids === undefined ? [null] : chunks(ids, idsAtOnce.ssm)) {
        found.push(...(await informed(accountId, region, some)).flatMap(managedInstance));
      }
      return found;
    },
    tagsOf: async (accountId, region, ids) => {
      const tags = new Map<string, Tags>();
      for (const some of chunks(ids, idsAtOnce.ec2)) {
        for (const { InstanceId, Tags: told } of await described(accountId, region, some)) {
          const pairs = (told ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']);
          if (InstanceId !== undefined) tags.set(InstanceId, Object.fromEntries(pairs));
        }
      }
      return tags;
    },
    sessionDocument: async (accountId, region, Name) => {
      const { ssm, call } = broker.account(accountId);
      const send = () => ssm(region).send(new GetDocumentCommand({ Name, DocumentFormat: 'JSON' }));
      try {
        return (await call('ssm:GetDocument', 'inventory', send, region)).Content ?? '';
      } catch (error) {
        // SSM's word for it is its own: InvalidDocument.
        const gone = error instanceof AwsProblem && (error.kind === 'gone' || error.code.startsWith('InvalidDocument'));
        if (gone) return null;
        throw error;
      }
    },
  };
};

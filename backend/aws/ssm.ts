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

/** One instance that SSM manages, with its tags. */
export type FoundInstance = {
  instanceId: string;
  name: string;
  kind: 'ec2' | 'hybrid';
  platform: 'Linux' | 'Windows' | 'MacOS';
  tags: Record<string, string>;
  online: boolean;
};

/** All of it throws AwsProblem when AWS says no for good. */
export type Ssm = {
  /** Active sessions in a region; of exactly this owner unless it is null. */
  activeSessions: (accountId: string, region: string, owner: string | null) => Promise<ActiveSession[]>;
  /** Ends a session for good; one that is gone already counts as ended. */
  terminate: (accountId: string, region: string, sessionId: string) => Promise<void>;
  /** Every instance that SSM knows in a region. */
  findInstances: (accountId: string, region: string) => Promise<FoundInstance[]>;
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
/** EC2 takes at most 200 values in one filter. */
const idsAtOnce = 200;

const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size));

export const createSsm = (broker: Broker): Ssm => {
  const managed = (accountId: string, region: string): Promise<InstanceInformation[]> => {
    const { ssm, call } = broker.account(accountId);
    return allPages(async (token) => {
      const input = { MaxResults: 50, ...(token === undefined ? {} : { NextToken: token }) };
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

  const tagsOf = async (accountId: string, region: string, ids: readonly string[]) => {
    const tags = new Map<string, Record<string, string>>();
    for (const some of chunks(ids, idsAtOnce)) {
      for (const { InstanceId, Tags } of await described(accountId, region, some)) {
        const pairs = (Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']);
        if (InstanceId !== undefined) tags.set(InstanceId, Object.fromEntries(pairs));
      }
    }
    return tags;
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
    findInstances: async (accountId, region) => {
      const informed = (await managed(accountId, region)).flatMap((information) => {
        const id = instanceId.safeParse(information.InstanceId);
        return id.success ? [{ id: id.data, information }] : [];
      });
      const ec2Ids = informed.flatMap(({ id }) => (id.startsWith('i-') ? [id] : []));
      const tags = await tagsOf(accountId, region, ec2Ids);
      return informed.map(({ id, information }) => {
        const own = tags.get(id) ?? {};
        return {
          instanceId: id,
          name: own['Name'] ?? information.Name ?? information.ComputerName ?? id,
          kind: id.startsWith('mi-') ? ('hybrid' as const) : ('ec2' as const),
          platform: platforms.parse(information.PlatformType),
          tags: own,
          online: information.PingStatus === 'Online',
        };
      });
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

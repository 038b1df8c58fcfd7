/**
 * What only the doctor asks AWS: whether the set-up is as deploy/ makes it. Nothing here changes anything that anybody uses; a
 * registered sign-in client is left behind, which AWS forgets by itself (aws-facts 1.1).
 */
import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  ListRolesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  GetGroupIdCommand,
  IdentitystoreClient,
  ListGroupsCommand,
  ListUsersCommand,
  ResourceNotFoundException,
} from '@aws-sdk/client-identitystore';
import { RegisterClientCommand, SSOOIDCClient } from '@aws-sdk/client-sso-oidc';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { awsLimits } from '../../src/shared/aws-limits.ts';
import { stsHost } from '../../src/shared/identity-proof.ts';
import { accessPolicyName } from '../access-policy/principal.ts';
import { type Config, identityStoreOf } from '../config.ts';
import { type Broker, mostAnswerMs } from './broker.ts';
import { AwsProblem, awsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** Whether AWS let us in; `refused` is AWS's word for "these rights do not cover it". */
export type Door = 'open' | 'refused';

/** All of it throws AwsProblem when AWS answers anything that is not said here. */
export type Probe = {
  /** Whose credentials these are. */
  whoAmI: () => Promise<{ accountId: string; arn: string }>;
  /** How far this machine's clock is ahead of AWS's, milliseconds; AWS tells whole seconds. @throws Error when unreachable. */
  clockAheadMs: () => Promise<number>;
  /** Registers a client as the app does at a sign-in; says nothing about the start URL. */
  registerClient: () => Promise<void>;
  groupExists: (name: string) => Promise<boolean>;
  /** Lists one user and one group. @throws AwsProblem without the right to one of both. */
  listDirectory: () => Promise<void>;
  /** Enters a role and forgets the credentials at once. */
  enter: (role: { arn: string; sessionName: string; externalId: string | null }) => Promise<Door>;
  /** Names of an account's Identity Center roles of a permission set. */
  reservedRoles: (accountId: string, permissionSet: string) => Promise<string[]>;
  /** The document of a boundary as it is in force; null: there is no such policy. */
  boundary: (accountId: string, arn: string) => Promise<string | null>;
  /** May the entered role read or write roles outside the people's path? Tried on itself, with a text that IAM never stores. */
  reachesBeyond: (accountId: string, roleName: string) => Promise<{ read: Door; write: Door }>;
  close: () => void;
};

const refusals = new Set(['AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation']);

const door = async (call: string, work: Promise<unknown>, opened: readonly string[] = []): Promise<Door> => {
  try {
    await work;
    return 'open';
  } catch (error) {
    const problem = awsProblem(call, error);
    if (refusals.has(problem.code)) return 'refused';
    if (opened.some((code) => problem.code.startsWith(code))) return 'open';
    throw problem;
  }
};

const orProblem = async <T>(call: string, work: Promise<T>): Promise<T> => {
  try {
    return await work;
  } catch (error) {
    throw awsProblem(call, error);
  }
};

const unlessGone = async <T>(work: Promise<T>): Promise<T | null> => {
  try {
    return await work;
  } catch (error) {
    // SSM's word for it is its own: InvalidDocument.
    if (error instanceof AwsProblem && (error.kind === 'gone' || error.code.startsWith('InvalidDocument'))) return null;
    throw error;
  }
};

/** @param stsEndpoint where STS is asked instead of AWS's host, as `config.ts` reads it. */
export const openProbe = (options: {
  config: Pick<Config, 'signIn' | 'directory'>;
  broker: Broker;
  stsEndpoint: string | null;
  now: () => Date;
}): Probe => {
  const { config, broker, stsEndpoint, now } = options;
  const { stsRegion, ssoRegion } = config.signIn;
  const client = { maxAttempts: 3, requestHandler: awsLimits(mostAnswerMs) };
  const sts = new STSClient({ ...client, region: stsRegion });
  const oidc = new SSOOIDCClient({ ...client, region: ssoRegion });
  /** Opened when it is asked for: where people are IAM users there is none. */
  let store: IdentitystoreClient | null = null;
  const identityStore = (): IdentitystoreClient => {
    store ??= new IdentitystoreClient({ ...client, region: identityStoreOf(config).region });
    return store;
  };

  return {
    whoAmI: async () => {
      const answer = await orProblem('sts:GetCallerIdentity', sts.send(new GetCallerIdentityCommand({})));
      return { accountId: answer.Account ?? '', arn: answer.Arn ?? '' };
    },
    clockAheadMs: async () => {
      const asked = now().getTime();
      const answer = await fetch(stsEndpoint ?? `https://${stsHost(stsRegion)}`, {
        redirect: 'manual',
        signal: AbortSignal.timeout(10_000),
      });
      const answered = now().getTime();
      await answer.body?.cancel();
      const theirs = Date.parse(answer.headers.get('date') ?? '');
      if (Number.isNaN(theirs)) throw new Error('STS told no date.');
      // The middle of the second that was told, seen from the middle of the call.
      return (asked + answered) / 2 - (theirs + 500);
    },
    registerClient: async () => {
      const input = { clientName: 'curfew doctor', clientType: 'public', scopes: ['sso:account:access'] };
      await orProblem('sso-oidc:RegisterClient', oidc.send(new RegisterClientCommand(input)));
    },
    listDirectory: async () => {
      const input = { IdentityStoreId: identityStoreOf(config).identityStoreId, MaxResults: 1 };
      await orProblem('identitystore:ListUsers', identityStore().send(new ListUsersCommand(input)));
      await orProblem('identitystore:ListGroups', identityStore().send(new ListGroupsCommand(input)));
    },
    groupExists: async (name) => {
      const AlternateIdentifier = { UniqueAttribute: { AttributePath: 'displayName', AttributeValue: name } };
      const input = { IdentityStoreId: identityStoreOf(config).identityStoreId, AlternateIdentifier };
      try {
        await identityStore().send(new GetGroupIdCommand(input));
        return true;
      } catch (error) {
        // Also the answer for an identity store that is not there; then every group is missing.
        if (error instanceof ResourceNotFoundException) return false;
        throw awsProblem('identitystore:GetGroupId', error);
      }
    },
    enter: ({ arn, sessionName, externalId }) => {
      const input = { RoleArn: arn, RoleSessionName: sessionName, DurationSeconds: 900 };
      const command = new AssumeRoleCommand(externalId === null ? input : { ...input, ExternalId: externalId });
      return door('sts:AssumeRole', sts.send(command));
    },
    reservedRoles: async (accountId, permissionSet) => {
      const { iam, call } = broker.account(accountId);
      const roles = await allPages(async (token) => {
        const input = {
          PathPrefix: '/aws-reserved/sso.amazonaws.com/',
          ...(token === undefined ? {} : { Marker: token }),
        };
        const page = await call('iam:ListRoles', 'iam-read', () => iam.send(new ListRolesCommand(input)));
        return { items: page.Roles ?? [], next: page.IsTruncated ? page.Marker : undefined };
      });
      const start = `AWSReservedSSO_${permissionSet}_`;
      return roles.flatMap(({ RoleName: name = '' }) =>
        name.startsWith(start) && /^[0-9a-f]{16}$/.test(name.slice(start.length)) ? [name] : [],
      );
    },
    boundary: async (accountId, PolicyArn) => {
      const { iam, call } = broker.account(accountId);
      const policy = await unlessGone(
        call('iam:GetPolicy', 'iam-read', () => iam.send(new GetPolicyCommand({ PolicyArn }))),
      );
      const VersionId = policy?.Policy?.DefaultVersionId;
      if (VersionId === undefined) return null;
      const version = await call('iam:GetPolicyVersion', 'iam-read', () =>
        iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId })),
      );
      return decodeURIComponent(version.PolicyVersion?.Document ?? '');
    },
    reachesBeyond: async (accountId, RoleName) => {
      const { iam } = broker.account(accountId);
      // IAM judges rights before it reads the text, and this text is no policy: nothing can be written by asking.
      const text = { RoleName, PolicyName: accessPolicyName, PolicyDocument: '{}' };
      return {
        read: await door('iam:GetRole', iam.send(new GetRoleCommand({ RoleName }))),
        write: await door('iam:PutRolePolicy', iam.send(new PutRolePolicyCommand(text)), ['MalformedPolicyDocument']),
      };
    },
    close: () => {
      for (const one of [sts, oidc, store]) one?.destroy();
    },
  };
};

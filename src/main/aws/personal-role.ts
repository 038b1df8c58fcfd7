/**
 * What a person does in AWS under a grant: enter the personal role (an IAM user is there already), see whether IAM has spread the access policy, start a session
 * (aws-facts 3.3, 4.5, 5). Clients are built without an endpoint, so the SDK's own AWS_ENDPOINT_URL settings work.
 */
import {
  GetConnectionStatusCommand,
  SSMClient,
  StartSessionCommand,
  TerminateSessionCommand,
} from '@aws-sdk/client-ssm';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { Connection, InstanceRef } from '../../shared/access.ts';
import { appAnswerMs, awsLimits } from '../../shared/aws-limits.ts';
import { Refusal } from '../../shared/refusal.ts';
import { type RequesterCredentials, type SignIn, Unreachable } from '../ports.ts';

/** Role chaining caps a session at one hour (aws-facts 3.3). */
const chainedSeconds = 3600;
const renewBeforeMs = 5 * 60_000;

/** StartSession's answer. TokenValue is a secret. */
export type StartedSession = { sessionId: string; tokenValue: string; streamUrl: string };

/** One look at whether a session could be started now. */
export type Readiness = 'ready' | 'not-spread' | 'not-connected';

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');
const isDenied = (error: unknown): boolean => /^AccessDenied(Exception)?$/.test(nameOf(error));

const networkCodes = /^(ECONN|EHOST|ENET|EAI_|ENOTFOUND|EPIPE|ETIMEDOUT)/;
const unreachable = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === 'TimeoutError' ||
    ('code' in error && typeof error.code === 'string' && networkCodes.test(error.code)));

const reached = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (cause) {
    if (unreachable(cause)) throw new Unreachable(what, { cause });
    throw cause;
  }
};

export const createPersonalRole = (deps: { credentialsFor: SignIn['credentialsFor']; now: () => Date }) => {
  const entered = new Map<string, RequesterCredentials>();

  /** Credentials of the personal role, or of the signed-in IAM user; renewed when less than 5 min are left. */
  const credentials = async (connection: Connection, region: string): Promise<RequesterCredentials> => {
    if (connection.as === 'iam-user') return await deps.credentialsFor(connection.accountId);
    const known = entered.get(connection.roleArn);
    if (known !== undefined && known.expiration.getTime() - deps.now().getTime() > renewBeforeMs) return known;
    // The account comes from the role's own ARN: credentials of another account are never used for it (threats AWS-11).
    if (connection.roleArn.split(':')[4] !== connection.accountId) {
      throw new Error('The personal role is not in the account of the grant.');
    }
    const requester = await deps.credentialsFor(connection.accountId);
    const left = Math.floor((requester.expiration.getTime() - deps.now().getTime()) / 1000);
    const sts = new STSClient({
      region,
      credentials: requester,
      maxAttempts: 3,
      requestHandler: awsLimits(appAnswerMs),
    });
    try {
      const answer = await reached(`AWS STS in ${region}`, () =>
        sts.send(
          new AssumeRoleCommand({
            RoleArn: connection.roleArn,
            RoleSessionName: connection.roleSessionName,
            DurationSeconds: Math.max(900, Math.min(chainedSeconds, left)),
          }),
        ),
      );
      const given = answer.Credentials;
      if (!given?.AccessKeyId || !given.SecretAccessKey || !given.SessionToken || !given.Expiration) {
        throw new Error('STS answered without credentials.');
      }
      const fresh: RequesterCredentials = {
        accessKeyId: given.AccessKeyId,
        secretAccessKey: given.SecretAccessKey,
        sessionToken: given.SessionToken,
        expiration: given.Expiration,
      };
      entered.set(connection.roleArn, fresh);
      return fresh;
    } catch (cause) {
      if (!isDenied(cause)) throw cause;
      throw new Refusal('not_allowed', {
        message: `AWS does not let you enter your personal role in account ${connection.accountId}. An AWS admin can compare its trust policy with the provisioner's.`,
        cause,
      });
    } finally {
      sts.destroy();
    }
  };

  const withSsm = async <T>(
    connection: Connection,
    region: string,
    work: (ssm: SSMClient) => Promise<T>,
  ): Promise<T> => {
    const keys = await credentials(connection, region);
    const ssm = new SSMClient({ region, credentials: keys, maxAttempts: 4, requestHandler: awsLimits(appAnswerMs) });
    try {
      return await reached(`AWS Systems Manager in ${region}`, () => work(ssm));
    } finally {
      ssm.destroy();
    }
  };

  return {
    credentials,

    /** The cheap probe for spreading: GetConnectionStatus takes the same instance ARN as StartSession (aws-facts 4.1). */
    look: (connection: Connection, instance: InstanceRef): Promise<Readiness> =>
      withSsm(connection, instance.region, async (ssm) => {
        try {
          const answer = await ssm.send(new GetConnectionStatusCommand({ Target: instance.instanceId }));
          return answer.Status === 'connected' ? 'ready' : 'not-connected';
        } catch (error) {
          if (isDenied(error)) return 'not-spread';
          throw error;
        }
      }),

    /** @returns null when IAM does not allow it (yet). @throws Refusal when the instance does not answer. */
    start: (connection: Connection, instance: InstanceRef): Promise<StartedSession | null> =>
      withSsm(connection, instance.region, async (ssm) => {
        try {
          const answer = await ssm.send(
            new StartSessionCommand({
              Target: instance.instanceId,
              DocumentName: connection.documentName,
              Reason: connection.reason,
            }),
          );
          if (!answer.SessionId || !answer.TokenValue || !answer.StreamUrl) {
            throw new Error('Systems Manager answered without a session.');
          }
          return { sessionId: answer.SessionId, tokenValue: answer.TokenValue, streamUrl: answer.StreamUrl };
        } catch (cause) {
          if (isDenied(cause)) return null;
          if (nameOf(cause) === 'TargetNotConnected') {
            throw new Refusal('wrong_state', {
              message: `${instance.instanceId} does not answer: its agent is offline.`,
              cause,
            });
          }
          throw cause;
        }
      }),

    /** Ends a session for good. Safe to repeat; a session that is gone is ended. */
    terminate: (connection: Connection, region: string, sessionId: string): Promise<void> =>
      withSsm(connection, region, async (ssm) => {
        try {
          await ssm.send(new TerminateSessionCommand({ SessionId: sessionId }));
        } catch (error) {
          if (nameOf(error) !== 'DoesNotExistException') throw error;
        }
      }),
  };
};

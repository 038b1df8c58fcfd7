/**
 * Credentials of a named AWS profile (shops without Identity Center): whatever the SDK finds for it (static keys, credential_process, ...),
 * turned into temporary ones, so that no long-lived key signs a proof or reaches a session. Nothing of it leaves the main process.
 */
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from '@aws-sdk/client-sts';
import { fromIni } from '@aws-sdk/credential-provider-ini';
import { loadSharedConfigFiles } from '@smithy/core/config';
import { appAnswerMs, awsLimits } from '../../shared/aws-limits.ts';
import { Refusal } from '../../shared/refusal.ts';
import { type RequesterCredentials, Unreachable } from '../ports.ts';

/** Long enough for a day's few calls, short enough to be worth little; renewed when less than 5 min are left. */
const sessionSeconds = 3600;
const renewBeforeMs = 5 * 60_000;
/** Of credentials that do not tell their end themselves. */
const unknownLifeMs = 15 * 60_000;

export type Profiles = {
  /** Names in the AWS configuration and credentials files, in order of the alphabet. */
  names(): Promise<string[]>;
  /**
   * Temporary credentials of the IAM user that a profile leads to.
   * @param wanted.region where STS is asked. @param wanted.accounts one of these must be the user's.
   * @throws Refusal `proof_refused` that says what is wrong with the profile; `Unreachable`.
   */
  credentials(profile: string, wanted: { region: string; accounts: readonly string[] }): Promise<RequesterCredentials>;
  /** Drops what is remembered. */
  forget(): void;
};

/** Sections of the configuration file that are no profiles, as the SDK names them. */
const otherSection = /^(sso-session|services)\./;

type Source = { accessKeyId: string; secretAccessKey: string; sessionToken?: string; expiration?: Date };

const networkCodes = /^(ECONN|EHOST|ENET|EAI_|ENOTFOUND|EPIPE|ETIMEDOUT)/;
const unreachable = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === 'TimeoutError' ||
    ('code' in error && typeof error.code === 'string' && networkCodes.test(error.code)));

/** The SDK's own words may hold what a credential_process printed: they stay in the log, as the cause. */
const useless = (profile: string, what: string, cause?: unknown): Refusal =>
  new Refusal('proof_refused', { message: `The AWS profile “${profile.slice(0, 40)}” ${what}`, cause });

export const createProfiles = ({ now }: { now: () => Date }): Profiles => {
  const known = new Map<string, { credentials: RequesterCredentials; account: string }>();

  const names = async (): Promise<string[]> => {
    const { configFile, credentialsFile } = await loadSharedConfigFiles({ ignoreCache: true });
    const profiles = Object.keys(configFile).filter((section) => !otherSection.test(section));
    return [...new Set([...profiles, ...Object.keys(credentialsFile)])].sort();
  };

  const sourceOf = async (profile: string): Promise<Source> => {
    // Only what stands in the files: a name is never anything that a window made up.
    if (!(await names()).includes(profile)) throw useless(profile, 'is not in your AWS configuration any more.');
    try {
      return await fromIni({ profile, ignoreCache: true })();
    } catch (cause) {
      throw useless(profile, 'gives no credentials. `aws sts get-caller-identity` with this profile tells why.', cause);
    }
  };

  const inSts = async <T>(region: string, source: Source, work: (sts: STSClient) => Promise<T>): Promise<T> => {
    const sts = new STSClient({ region, credentials: source, maxAttempts: 3, requestHandler: awsLimits(appAnswerMs) });
    try {
      return await work(sts);
    } catch (cause) {
      if (unreachable(cause)) throw new Unreachable(`AWS STS in ${region}`, { cause });
      throw cause;
    } finally {
      sts.destroy();
    }
  };

  /** A long-lived key opens a session of its own; what is temporary already is used as it is. */
  const temporary = async (source: Source, sts: STSClient): Promise<RequesterCredentials> => {
    const { accessKeyId, secretAccessKey, sessionToken } = source;
    if (sessionToken !== undefined && sessionToken !== '') {
      const expiration = source.expiration ?? new Date(now().getTime() + unknownLifeMs);
      return { accessKeyId, secretAccessKey, sessionToken, expiration };
    }
    const { Credentials: given } = await sts.send(new GetSessionTokenCommand({ DurationSeconds: sessionSeconds }));
    if (!given?.AccessKeyId || !given.SecretAccessKey || !given.SessionToken || !given.Expiration) {
      throw new Error('STS answered without credentials.');
    }
    return {
      accessKeyId: given.AccessKeyId,
      secretAccessKey: given.SecretAccessKey,
      sessionToken: given.SessionToken,
      expiration: given.Expiration,
    };
  };

  const fresh = async (profile: string, region: string) => {
    const source = await sourceOf(profile);
    try {
      return await inSts(region, source, async (sts) => {
        const { Arn: arn = '' } = await sts.send(new GetCallerIdentityCommand({}));
        const [, account] = /^arn:aws[a-z-]*:iam::(\d{12}):user\//.exec(arn) ?? [];
        if (account === undefined) {
          throw useless(profile, `leads to ${arn.slice(0, 200)}. Choose one with an IAM user’s own keys.`);
        }
        return { account, credentials: await temporary(source, sts) };
      });
    } catch (cause) {
      if (cause instanceof Refusal || cause instanceof Unreachable) throw cause;
      throw useless(profile, 'is not accepted by AWS. Its keys may be inactive or deleted.', cause);
    }
  };

  return {
    names,
    forget: () => known.clear(),
    credentials: async (profile, { region, accounts }) => {
      const held = known.get(profile);
      const lives = held !== undefined && held.credentials.expiration.getTime() - now().getTime() > renewBeforeMs;
      const found = lives ? held : await fresh(profile, region);
      if (!accounts.includes(found.account)) {
        throw useless(profile, `is of account ${found.account}; here it must be ${accounts.join(' or ')}.`);
      }
      known.set(profile, found);
      return found.credentials;
    },
  };
};

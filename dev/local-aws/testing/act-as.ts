/**
 * For tests over local-aws: become a person, the broker or the provisioner with real SDK calls and without a browser. Only the
 * endpoint is asked for, so it works against another process too.
 */
import { createHash, randomBytes } from 'node:crypto';
import { CreateRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { GetRoleCredentialsCommand, SSOClient } from '@aws-sdk/client-sso';
import { CreateTokenCommand, RegisterClientCommand, SSOOIDCClient } from '@aws-sdk/client-sso-oidc';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { personalRoleTemplate } from '../../../backend/access-policy/personal-role.ts';
import type { World } from '../world.ts';

export type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
/** A running local-aws: `LocalAws` is one; another process needs its world read again. */
export type Target = { endpoint: string; world: World };

const credentialsOf = (
  issued: { [K in 'AccessKeyId' | 'SecretAccessKey' | 'SessionToken']?: string | undefined } | undefined,
): Credentials => {
  const { AccessKeyId, SecretAccessKey, SessionToken } = issued ?? {};
  if (AccessKeyId === undefined || SecretAccessKey === undefined || SessionToken === undefined)
    throw new Error('AWS gave no credentials');
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
};

/** Signs a person in as the browser would (authorization code and PKCE). @returns the portal's access token. */
export const signIn = async (aws: Target, userName: string): Promise<string> => {
  const oidc = new SSOOIDCClient({ region: aws.world.organisation.region, endpoint: aws.endpoint, maxAttempts: 1 });
  const redirectUri = 'http://127.0.0.1:1/callback';
  const registered = await oidc.send(
    new RegisterClientCommand({
      clientName: 'a test',
      clientType: 'public',
      scopes: ['sso:account:access'],
      grantTypes: ['authorization_code', 'refresh_token'],
      redirectUris: ['http://127.0.0.1/callback'],
      issuerUrl: aws.world.organisation.startUrl,
    }),
  );
  const client = { clientId: registered.clientId ?? '', clientSecret: registered.clientSecret ?? '' };
  const codeVerifier = randomBytes(48).toString('base64url');
  const body = new URLSearchParams({
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: redirectUri,
    code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
    user_name: userName,
    decision: 'allow',
  });
  const page = await fetch(`${aws.endpoint}/authorize`, { method: 'POST', body, redirect: 'manual' });
  const code = new URL(page.headers.get('location') ?? 'about:blank').searchParams.get('code');
  if (code === null) throw new Error(`${userName} could not sign in: ${page.status}`);
  const { accessToken = '' } = await oidc.send(
    new CreateTokenCommand({ ...client, grantType: 'authorization_code', code, redirectUri, codeVerifier }),
  );
  return accessToken;
};

/** Credentials of a person's permission set in an account. */
export const asPerson = async (
  aws: Target,
  userName: string,
  where: { accountId: string; permissionSet?: string },
): Promise<Credentials> => {
  const portal = new SSOClient({ region: aws.world.organisation.region, endpoint: aws.endpoint, maxAttempts: 1 });
  const { roleCredentials } = await portal.send(
    new GetRoleCredentialsCommand({
      accessToken: await signIn(aws, userName),
      accountId: where.accountId,
      roleName: where.permissionSet ?? 'CurfewUser',
    }),
  );
  return credentialsOf({
    AccessKeyId: roleCredentials?.accessKeyId,
    SecretAccessKey: roleCredentials?.secretAccessKey,
    SessionToken: roleCredentials?.sessionToken,
  });
};

/** The long-lived keys of one of the world's IAM users. */
export const keysOf = ({ world }: Target, userName: string): Credentials => {
  const key = world.accounts.flatMap((account) => account.users).find((user) => user.name === userName)?.accessKeys[0];
  if (key === undefined) throw new Error(`The world has no key for ${userName}`);
  return { accessKeyId: key.accessKeyId, secretAccessKey: key.secretAccessKey };
};

export const assumeRole = async (
  aws: Target,
  credentials: Credentials,
  role: { arn: string; sessionName: string; externalId?: string },
): Promise<Credentials> => {
  const sts = new STSClient({
    region: aws.world.organisation.region,
    endpoint: aws.endpoint,
    credentials,
    maxAttempts: 1,
  });
  const { Credentials: issued } = await sts.send(
    new AssumeRoleCommand({
      RoleArn: role.arn,
      RoleSessionName: role.sessionName,
      ...(role.externalId === undefined ? {} : { ExternalId: role.externalId }),
    }),
  );
  return credentialsOf(issued);
};

const asCurfew = (aws: Target, accountId: string, who: { user: string; role: string }) =>
  assumeRole(aws, keysOf(aws, who.user), {
    arn: `arn:aws:iam::${accountId}:role/curfew/${who.role}`,
    sessionName: 'curfew',
    externalId: `curfew-${accountId}-local`,
  });

export const asBroker = (aws: Target, accountId: string): Promise<Credentials> =>
  asCurfew(aws, accountId, { user: 'curfew-backend', role: 'broker/CurfewBroker' });

const asProvisioner = (aws: Target, accountId: string): Promise<Credentials> =>
  asCurfew(aws, accountId, { user: 'curfew-provisioner', role: 'provisioner/CurfewProvisioner' });

export const iamClient = (aws: Target, credentials: Credentials): IAMClient =>
  new IAMClient({ region: 'us-east-1', endpoint: aws.endpoint, credentials, maxAttempts: 1 });

/** Makes a person's role in an account as the provisioner does. @returns its name, ARN and session name. */
export const makePersonalRole = async (
  aws: Target,
  userName: string,
  accountId: string,
): Promise<{ name: string; arn: string; sessionName: string }> => {
  const person = aws.world.people.find((one) => one.userName === userName);
  if (!person) throw new Error(`There is no ${userName}`);
  const template = personalRoleTemplate(
    {
      partition: 'aws',
      accountId,
      identityStoreId: aws.world.organisation.identityStoreId,
      ssoRegion: aws.world.organisation.region,
      permissionSet: 'CurfewUser',
      signInAccounts: [],
      boundaryArn: `arn:aws:iam::${accountId}:policy/curfew/boundary/CurfewBoundary`,
    },
    person,
  );
  await iamClient(aws, await asProvisioner(aws, accountId)).send(
    new CreateRoleCommand({
      RoleName: template.name,
      Path: template.path,
      AssumeRolePolicyDocument: template.trust,
      PermissionsBoundary: template.boundaryArn,
      Tags: Object.entries(template.tags).map(([Key, Value]) => ({ Key, Value })),
    }),
  );
  return {
    name: template.name,
    arn: `arn:aws:iam::${accountId}:role${template.path}${template.name}`,
    sessionName: template.sessionName,
  };
};

/** A person at the far end, for tests: signs in at local-aws without a browser and uses their personal role like the AWS CLI. */
import { SSMClient, StartSessionCommand } from '@aws-sdk/client-ssm';
import { GetRoleCredentialsCommand, SSOClient } from '@aws-sdk/client-sso';
import {
  CreateTokenCommand,
  RegisterClientCommand,
  SSOOIDCClient,
  StartDeviceAuthorizationCommand,
} from '@aws-sdk/client-sso-oidc';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { InstanceRef } from '../../../src/shared/access.ts';
import { personalRoleArn, roleSessionName } from '../../access-policy/principal.ts';
import { type mira, prod, roleNameOf } from './scene.ts';

const region = 'eu-central-1';
const grantType = 'urn:ietf:params:oauth:grant-type:device_code';

/** Credentials of the person's `CurfewUser` permission set in payments-prod. */
const signIn = async (endpoint: string, userName: string) => {
  const oidc = new SSOOIDCClient({ region });
  const { clientId, clientSecret } = await oidc.send(
    new RegisterClientCommand({
      clientName: 'test',
      clientType: 'public',
      grantTypes: [grantType, 'refresh_token'],
      scopes: ['sso:account:access'],
    }),
  );
  const client = { clientId, clientSecret };
  const startUrl = 'https://harborline.awsapps.com/start';
  const { deviceCode, userCode } = await oidc.send(new StartDeviceAuthorizationCommand({ ...client, startUrl }));
  const form = new URLSearchParams({ user_code: userCode ?? '', user_name: userName, decision: 'allow' });
  await fetch(`${endpoint}/device`, { method: 'POST', body: form });
  const { accessToken } = await oidc.send(new CreateTokenCommand({ ...client, grantType, deviceCode }));
  const answer = await new SSOClient({ region }).send(
    new GetRoleCredentialsCommand({ accessToken, accountId: prod, roleName: 'CurfewUser' }),
  );
  const { accessKeyId, secretAccessKey, sessionToken } = answer.roleCredentials ?? {};
  if (!accessKeyId || !secretAccessKey || !sessionToken) throw new Error('no credentials');
  return { accessKeyId, secretAccessKey, sessionToken };
};

/** SSM as the person sees it under their own personal role; without retries, so each call is one call. */
export const ssmOf = async (endpoint: string, person: typeof mira): Promise<(region: string) => SSMClient> => {
  const sts = new STSClient({ region, credentials: await signIn(endpoint, person.userName) });
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({
      RoleArn: personalRoleArn('aws', prod, roleNameOf(person)),
      RoleSessionName: roleSessionName(person.userName, person.id),
    }),
  );
  const credentials = {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  };
  return (wanted) => new SSMClient({ region: wanted, credentials, maxAttempts: 1 });
};

/** @returns the new session's id; null when AWS does not let them. */
export const sessionOn = async (ssm: SSMClient, { instanceId }: InstanceRef): Promise<string | null> => {
  try {
    const { SessionId } = await ssm.send(
      new StartSessionCommand({ Target: instanceId, DocumentName: 'Curfew-Shell-060', Reason: 'test' }),
    );
    return SessionId ?? null;
  } catch {
    return null; // whoever asks until it works sees what does not
  }
};

/** A session with an IAM user's own keys. @returns its id; null when AWS does not let them. */
export const sessionOfUser = (
  credentials: { accessKeyId: string; secretAccessKey: string },
  instance: InstanceRef,
): Promise<string | null> =>
  sessionOn(new SSMClient({ region: instance.region, credentials, maxAttempts: 1 }), instance);

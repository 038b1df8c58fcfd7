/** A person with the AWS CLI: signs in, enters their personal role and starts sessions, and no app of Curfew hears of it. */
import { SSMClient, StartSessionCommand } from '@aws-sdk/client-ssm';
import { GetRoleCredentialsCommand, SSOClient } from '@aws-sdk/client-sso';
import {
  CreateTokenCommand,
  RegisterClientCommand,
  SSOOIDCClient,
  StartDeviceAuthorizationCommand,
} from '@aws-sdk/client-sso-oidc';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { personalRoleArn, personalRoleName, roleSessionName } from '../../backend/access-policy/principal.ts';
import type { Stack } from '../start/stack.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:device_code';

type Keys = { [K in 'accessKeyId' | 'secretAccessKey' | 'sessionToken']?: string | undefined };

/** @throws Error when AWS gave less than that. */
const complete = ({ accessKeyId, secretAccessKey, sessionToken }: Keys) => {
  if (!accessKeyId || !secretAccessKey || !sessionToken) throw new Error('AWS gave no credentials.');
  return { accessKeyId, secretAccessKey, sessionToken };
};

/** Credentials of the requester's permission set in this account, by the device code flow. */
const requester = async ({ localAwsUrl: endpoint, world }: Stack, userName: string, accountId: string) => {
  const { region, startUrl } = world.organisation;
  const oidc = new SSOOIDCClient({ region, endpoint });
  const registered = await oidc.send(
    new RegisterClientCommand({
      clientName: 'cli',
      clientType: 'public',
      grantTypes: [grantType, 'refresh_token'],
      scopes: ['sso:account:access'],
    }),
  );
  const client = { clientId: registered.clientId, clientSecret: registered.clientSecret };
  const { deviceCode, userCode } = await oidc.send(new StartDeviceAuthorizationCommand({ ...client, startUrl }));
  const body = new URLSearchParams({ user_code: userCode ?? '', user_name: userName, decision: 'allow' });
  await fetch(`${endpoint}/device`, { method: 'POST', body });
  const { accessToken } = await oidc.send(new CreateTokenCommand({ ...client, grantType, deviceCode }));
  const answer = await new SSOClient({ region, endpoint }).send(
    new GetRoleCredentialsCommand({ accessToken, accountId, roleName: 'CurfewUser' }),
  );
  return complete(answer.roleCredentials ?? {});
};

/**
 * Starts a session on what is granted to them already, and leaves it open.
 * @returns its id.
 * @throws Error when the world has no such person or instance; what AWS says.
 */
export const startPastTheApp = async (stack: Stack, displayName: string, instanceName: string): Promise<string> => {
  const { localAwsUrl: endpoint, world } = stack;
  const person = world.people.find((one) => one.displayName === displayName);
  const instance = world.instances.find((one) => one.name === instanceName);
  if (person === undefined || instance === undefined)
    throw new Error(`The world has no ${displayName}, ${instanceName}.`);
  const { account, region, id: Target } = instance;
  const sts = new STSClient({ region, endpoint, credentials: await requester(stack, person.userName, account) });
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({
      RoleArn: personalRoleArn('aws', account, personalRoleName(world.organisation.identityStoreId, person.id)),
      RoleSessionName: roleSessionName(person.userName, person.id),
    }),
  );
  const credentials = complete({
    accessKeyId: Credentials?.AccessKeyId,
    secretAccessKey: Credentials?.SecretAccessKey,
    sessionToken: Credentials?.SessionToken,
  });
  const ssm = new SSMClient({ region, endpoint, credentials });
  const { SessionId } = await ssm.send(new StartSessionCommand({ Target, DocumentName: 'Curfew-Shell-030' }));
  if (SessionId === undefined) throw new Error('AWS started no session.');
  return SessionId;
};

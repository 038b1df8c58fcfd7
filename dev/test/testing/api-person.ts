/** A person at the backend's API of a whole stack: signs in with real credentials of local-aws, and calls what the app would call. */
import { SSMClient, StartSessionCommand } from '@aws-sdk/client-ssm';
import { createTRPCClient, httpLink } from '@trpc/client';
import type { AppRouter } from '../../../backend/api/router.ts';
import { signProof } from '../../../backend/aws/testing/sts-standin.ts';
import type { Connection, Grant, InstanceRef } from '../../../src/shared/access.ts';
import { serverIdOf } from '../../../src/shared/identity-proof.ts';
import { apiPath } from '../../../src/shared/views.ts';
import { asPerson, assumeRole, type Credentials, type Target } from '../../local-aws/testing/act-as.ts';
import type { Stack } from '../../start/stack.ts';

const clientOf = (backendUrl: string, token: string | null) =>
  createTRPCClient<AppRouter>({
    links: [
      httpLink({
        url: `${backendUrl}${apiPath}`,
        headers: () => (token === null ? {} : { authorization: `Bearer ${token}` }),
      }),
    ],
  });
export type ApiClient = ReturnType<typeof clientOf>;

export type ApiPerson = {
  client: ApiClient;
  /** The role credentials that signed the proof. */
  credentials: Credentials;
  /** Everything of this person that must never be written down anywhere. */
  secrets: string[];
};

const targetOf = ({ localAwsUrl, world }: Stack): Target => ({ endpoint: localAwsUrl, world });

/** Signs somebody of the world in at the backend by an identity proof. */
export const signInAtApi = async (stack: Stack, userName: string): Promise<ApiPerson> => {
  const [account] = stack.world.accounts;
  if (account === undefined) throw new Error('The world has no account.');
  const credentials = await asPerson(targetOf(stack), userName, { accountId: account.id });
  const { secretAccessKey, sessionToken = '' } = credentials;
  const { nonce } = await clientOf(stack.backendUrl, null).nonce.mutate();
  const over = { nonce, serverId: serverIdOf(stack.backendUrl), at: new Date() };
  const proof = await signProof({ ...credentials, sessionToken }, over);
  const { token } = await clientOf(stack.backendUrl, null).prove.mutate(proof);
  const secrets = [secretAccessKey, sessionToken, proof.signature, nonce, token];
  return { client: clientOf(stack.backendUrl, token), credentials, secrets };
};

/** Asks for a shell, which a rule gives at once, and connects. */
export const connectAtOnce = async (
  { client }: ApiPerson,
  instance: InstanceRef,
): Promise<{ grant: Grant; connection: Connection }> => {
  const request = await client.submit.mutate({
    instances: [instance],
    capability: 'shell',
    durationSeconds: 900,
    reason: 'whole-job-reason',
    ticket: null,
  });
  const grantId = request.state === 'approved' ? request.grantIds[0] : undefined;
  if (grantId === undefined) throw new Error(`No rule gives this at once: the request is ${request.state}.`);
  return client.connect.mutate({ grantId });
};

/** Opens a session under a grant with the credentials of the personal role, as the app does. IAM must have spread. */
export const openSession = async (
  stack: Stack,
  person: ApiPerson,
  { connection, instance }: { connection: Connection; instance: InstanceRef },
): Promise<{ sessionId: string; secrets: string[] }> => {
  if (connection.as !== 'personal-role') throw new Error('People of this world have personal roles.');
  const { roleArn, roleSessionName, documentName, reason, grantId } = connection;
  const role = await assumeRole(targetOf(stack), person.credentials, { arn: roleArn, sessionName: roleSessionName });
  const ssm = new SSMClient({
    region: instance.region,
    endpoint: stack.localAwsUrl,
    credentials: { ...role },
    maxAttempts: 1,
  });
  const started = await ssm.send(
    new StartSessionCommand({ Target: instance.instanceId, DocumentName: documentName, Reason: reason }),
  );
  const sessionId = started.SessionId ?? '';
  await person.client.sessionStarted.mutate({ grantId, instance, sessionId });
  return { sessionId, secrets: [role.secretAccessKey, role.sessionToken ?? '', started.TokenValue ?? ''] };
};

/** One's own grant as the backend tells it now. */
export const grantOf = async ({ client }: ApiPerson, grantId: string): Promise<Grant> => {
  const grant = (await client.overview.query()).grants.find(({ id }) => id === grantId);
  if (grant === undefined) throw new Error(`${grantId} is not among the grants.`);
  return grant;
};

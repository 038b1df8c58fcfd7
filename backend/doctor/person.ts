/** The first person's view: are these the credentials of the permission set, and do they open what they must and no more? */
import { personalRoleArn, personalRoleName, roleSessionName } from '../access-policy/principal.ts';
import type { Probe } from '../aws/probe.ts';
import { type Config, identityStoreOf } from '../config.ts';
import { type Answer, type Finding, look, notOk, ok, unchecked } from './finding.ts';

const area = 'person';

type Deps = { config: Config; probe: Probe; personId: string | null };

const sessionOf = (arn: string): { accountId: string; role: string; session: string } | null => {
  const [, accountId = '', role = '', session = ''] =
    /^arn:[^:]+:sts::(\d{12}):assumed-role\/([^/]+)\/(.+)$/.exec(arn) ?? [];
  return session === '' ? null : { accountId, role, session };
};

const credentialsAdvice = (config: Config): string =>
  `Sign in as the person: aws configure sso (start URL, role ${config.signIn.permissionSet}, one of ${config.signIn.accounts.join(', ')}), ` +
  'then run the doctor with AWS_PROFILE set to that profile.';

const checkWho = ({ config, probe }: Deps): Promise<Finding> =>
  look({ area, check: 'credentials' }, credentialsAdvice(config), async () => {
    const { arn } = await probe.whoAmI();
    const session = sessionOf(arn);
    const set = config.signIn.permissionSet;
    if (session === null || !session.role.startsWith(`AWSReservedSSO_${set}_`)) {
      return notOk(`these are credentials of ${arn}`, credentialsAdvice(config));
    }
    if (!config.signIn.accounts.includes(session.accountId)) {
      return notOk(
        `${session.session} comes through ${session.accountId}, which does not vouch for people`,
        `Choose another account of the permission set, or add ${session.accountId} to signIn.accounts and accounts.`,
      );
    }
    return ok(`${session.session} through ${session.accountId}`);
  });

const checkNarrow = ({ config, probe }: Deps): Promise<Finding> =>
  look({ area, check: 'permission set is narrow' }, 'Compare its inline policy with docs/first-hour.md.', async () => {
    const set = config.signIn.permissionSet;
    const [account] = config.accounts;
    if (account === undefined) return unchecked('no account is configured', 'Add one to accounts.');
    const door = await probe.enter({
      arn: account.brokerRoleArn,
      sessionName: 'curfew',
      externalId: account.externalId,
    });
    if (door === 'refused') return ok('it does not open the broker');
    return notOk(
      `it opens ${account.brokerRoleArn}`,
      `${set} may sts:AssumeRole on role/curfew/people/* and nothing else, and the broker trusts the backend alone.`,
    );
  });

const roleAnswer = async ({ config, probe, personId }: Deps, accountId: string): Promise<Answer> => {
  if (personId === null) {
    return unchecked(
      'whose role it is, is not known',
      'Add --person USER_ID: aws identitystore get-user-id, or the tag curfew:person of the role.',
    );
  }
  const session = sessionOf((await probe.whoAmI()).arn);
  if (session === null) return unchecked('these are nobody’s credentials', credentialsAdvice(config));
  const arn = personalRoleArn(
    config.partition,
    accountId,
    personalRoleName(identityStoreOf(config).identityStoreId, personId),
  );
  const sessionName = roleSessionName(session.session, personId);
  if ((await probe.enter({ arn, sessionName, externalId: null })) === 'open') return ok(arn);
  return notOk(
    `AWS refused AssumeRole into ${arn}`,
    'In this order: is the role there (doctor as the backend), does the permission set allow sts:AssumeRole on role/curfew/people/*, ' +
      'does its aws:ResourceOrgID name your organisation, and does the session carry identitystore:UserId (sign in anew).',
  );
};

const checkBackend = ({ config }: Deps): Promise<Finding> =>
  look(
    { area, check: 'backend' },
    'Start the backend, let its proxy pass HTTPS, and let origin be the very address that people type into the app.',
    async () => {
      const url = new URL('/readyz', config.origin);
      const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(10_000) });
      await answer.body?.cancel();
      if (answer.status === 200) return ok(`${url.href} is ready`);
      return notOk(`${url.href} answered ${answer.status}`, 'The backend’s log says what it waits for.');
    },
  );

const checkIamUser = ({ config, probe }: Deps): Promise<Finding> => {
  const { accounts } = config.signIn;
  const advice = `Run the doctor with AWS_PROFILE set to a profile with an IAM user’s own keys, of account ${accounts.join(' or ')}.`;
  return look({ area, check: 'credentials' }, advice, async () => {
    const { arn, accountId } = await probe.whoAmI();
    const isUser = /^arn:[^:]+:iam::\d{12}:user\//.test(arn);
    return isUser && accounts.includes(accountId) ? ok(arn) : notOk(`these are credentials of ${arn}`, advice);
  });
};

/** Looks with the credentials of one person's permission set. */
export async function* checkPerson(deps: Deps): AsyncGenerator<Finding, void, void> {
  if (deps.config.directory.kind === 'iam-users') {
    yield await checkIamUser(deps);
    yield await checkBackend(deps);
    return;
  }
  const who = await checkWho(deps);
  yield who;
  yield await checkBackend(deps);
  if (who.state !== 'ok') return;
  yield await checkNarrow(deps);
  for (const account of deps.config.accounts) {
    const where = { area, check: `personal role in ${account.name} (${account.id})` };
    yield await look(where, 'Run the doctor as the backend.', () => roleAnswer(deps, account.id));
  }
}

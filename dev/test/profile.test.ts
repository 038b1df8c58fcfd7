/** The app's side of signing in with an AWS profile, over local-aws: real files, the SDK's own chain, real STS calls. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createProfiles, type Profiles } from '../../src/main/aws/profile.ts';
import { Unreachable } from '../../src/main/ports.ts';
import { type LocalAws, startLocalAws } from '../local-aws/start.ts';

const dev = '739164205518';
const region = 'eu-central-1';
const wanted = { region, accounts: [dev] };
const folder = mkdtempSync(join(tmpdir(), 'curfew-profile-'));
let aws: LocalAws;
let at: Date;
let profiles: Profiles;

beforeAll(async () => {
  aws = await startLocalAws({
    worldFile: join(import.meta.dirname, '../local-aws/world.yml'),
    stateFile: null,
    port: 0,
    runFolder: join(folder, 'run'),
  });
  const keyOf = (name: string) => {
    const users = aws.world.accounts.flatMap((account) => account.users);
    const key = users.find((user) => user.name === name)?.accessKeys[0];
    if (key === undefined) throw new Error(`${name} has no key`);
    return key;
  };
  const [dana, backend] = [keyOf('dana'), keyOf('curfew-backend')];
  const printed = JSON.stringify({ Version: 1, AccessKeyId: dana.accessKeyId, SecretAccessKey: dana.secretAccessKey });
  writeFileSync(join(folder, 'printed.json'), printed);
  writeFileSync(
    join(folder, 'credentials'),
    `[dana]\naws_access_key_id = ${dana.accessKeyId}\naws_secret_access_key = ${dana.secretAccessKey}\n` +
      `[backend]\naws_access_key_id = ${backend.accessKeyId}\naws_secret_access_key = ${backend.secretAccessKey}\n` +
      '[deleted]\naws_access_key_id = AKIADELETEDDELETED22\naws_secret_access_key = canary-secret-of-nobody\n',
  );
  writeFileSync(
    join(folder, 'config'),
    `[default]\nregion = ${region}\n[profile printed]\ncredential_process = cat "${join(folder, 'printed.json')}"\n` +
      '[profile broken]\ncredential_process = echo canary-secret-in-an-error >&2 && false\n' +
      `[profile broker]\nrole_arn = arn:aws:iam::${dev}:role/curfew/broker/CurfewBroker\nsource_profile = backend\n` +
      `external_id = curfew-${dev}-local\n[sso-session work]\nsso_region = ${region}\n`,
  );
  vi.stubEnv('AWS_ENDPOINT_URL', aws.endpoint);
  vi.stubEnv('AWS_REGION', region);
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  at = new Date();
  profiles = createProfiles({ now: () => at });
});

const refused = async (profile: string, accounts = [dev]): Promise<string> => {
  try {
    await profiles.credentials(profile, { region, accounts });
  } catch (error) {
    expect(error).toMatchObject({ name: 'Refusal', code: 'proof_refused' });
    const said = JSON.stringify(error instanceof Error && 'detail' in error ? error.detail : null);
    expect(said).not.toContain('canary');
    return said;
  }
  throw new Error(`${profile} was taken`);
};

test('tells the names of all profiles and nothing else', async () => {
  expect(await profiles.names()).toEqual(['backend', 'broken', 'broker', 'dana', 'default', 'deleted', 'printed']);
});

test.each(['dana', 'printed'])(
  'turns the long-lived key of %s into temporary credentials of the same user',
  async (name) => {
    const credentials = await profiles.credentials(name, wanted);
    expect(credentials.accessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
    expect(credentials.sessionToken.length).toBeGreaterThan(16);
    expect(credentials.expiration.getTime() - Date.now()).toBeLessThanOrEqual(3_600_000);
    const sts = new STSClient({ region, credentials });
    expect((await sts.send(new GetCallerIdentityCommand({}))).Arn).toBe(`arn:aws:iam::${dev}:user/curfew/people/dana`);
    sts.destroy();
  },
);

test('remembers them until five minutes before their end', async () => {
  const first = await profiles.credentials('dana', wanted);
  expect(await profiles.credentials('dana', wanted)).toBe(first);
  at = new Date(first.expiration.getTime() - 4 * 60_000);
  expect((await profiles.credentials('dana', wanted)).accessKeyId).not.toBe(first.accessKeyId);
  const again = await profiles.credentials('dana', wanted);
  profiles.forget();
  expect(await profiles.credentials('dana', wanted)).not.toBe(again);
});

test('says what is wrong with a profile, and never what a program printed', async () => {
  expect(await refused('nobody')).toContain('is not in your AWS configuration any more');
  expect(await refused('default')).toContain('gives no credentials');
  expect(await refused('broken')).toContain('gives no credentials');
  expect(await refused('deleted')).toContain('is not accepted by AWS');
  expect(await refused('broker')).toContain('leads to arn:aws:sts::');
  expect(await refused('dana', ['482011773306'])).toContain(`is of account ${dev}`);
});

test('AWS that does not answer is no fault of the profile', async () => {
  vi.stubEnv('AWS_ENDPOINT_URL', 'http://127.0.0.1:9');
  try {
    await expect(profiles.credentials('dana', wanted)).rejects.toThrow(Unreachable);
  } finally {
    vi.stubEnv('AWS_ENDPOINT_URL', aws.endpoint);
  }
});

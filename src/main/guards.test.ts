import { describe, expect, it } from 'vitest';
import { Refusal } from '../shared/refusal.ts';
import { ConfigProblem, readConfig } from './config.ts';
import { dangerousSwitch } from './dangerous-switches.ts';
import { placeOfLink } from './deep-link.ts';
import { checkOrganisation, mayOpenOutside } from './outside.ts';

const organisation = {
  backendUrl: 'https://curfew.harborline.example',
  startUrl: 'https://harborline.awsapps.com/start',
  ssoRegion: 'eu-central-1',
};

describe('managed settings and endpoint overrides', () => {
  it('takes the organisation only whole', () => {
    expect(readConfig({}).organisation).toBeNull();
    const whole = {
      CURFEW_BACKEND_URL: organisation.backendUrl,
      CURFEW_START_URL: organisation.startUrl,
      CURFEW_SSO_REGION: organisation.ssoRegion,
    };
    expect(readConfig(whole).organisation).toEqual(organisation);
    expect(() => readConfig({ ...whole, CURFEW_SSO_REGION: '' })).toThrow(ConfigProblem);
    expect(() => readConfig({ CURFEW_START_URL: organisation.startUrl })).toThrow(ConfigProblem);
    const withoutIdentityCenter = { backendUrl: organisation.backendUrl, startUrl: '', ssoRegion: '' };
    expect(readConfig({ CURFEW_BACKEND_URL: organisation.backendUrl }).organisation).toEqual(withoutIdentityCenter);
    expect(() => checkOrganisation(withoutIdentityCenter)).not.toThrow();
    expect(() => checkOrganisation({ ...withoutIdentityCenter, ssoRegion: 'eu-central-1' })).toThrow();
  });

  it('APP-05 shows every override, and starts with none that leads elsewhere', () => {
    expect(readConfig({ AWS_ENDPOINT_URL: 'http://127.0.0.1:4566', AWS_ENDPOINT_URL_STS: '' }).notAws).toEqual([
      'AWS_ENDPOINT_URL = http://127.0.0.1:4566',
    ]);
    expect(readConfig({ AWS_ENDPOINT_URL_SSM: 'https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com' }).notAws).toHaveLength(
      1,
    );
    for (const url of [
      'https://evil.example',
      'http://sts.amazonaws.com',
      'https://amazonaws.com.evil.example',
      'https://u:p@127.0.0.1',
      'x',
    ]) {
      expect(() => readConfig({ AWS_ENDPOINT_URL_SSO: url }), url).toThrow(ConfigProblem);
    }
  });
});

it('API-09 starts with no environment that takes any certificate for the right one', () => {
  expect(() => readConfig({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toThrow(ConfigProblem);
  expect(() => readConfig({ NODE_TLS_REJECT_UNAUTHORIZED: '1', NODE_EXTRA_CA_CERTS: '/ca.pem' })).not.toThrow();
});

describe('what the packaged app does not start with', () => {
  it.each([
    '--remote-debugging-port=0',
    '--no-sandbox',
    '--disable-web-security',
    '--load-extension=/x',
    '--host-resolver-rules=MAP * 127.0.0.1',
    '--proxy-server=evil:1',
    '--ignore-certificate-errors',
    '--js-flags=--expose-gc',
    '--renderer-cmd-prefix=gdb',
    '--utility-process-launcher=x',
    '-no-sandbox',
    '--NO-SANDBOX',
  ])('APP-12 %s', (argument) => {
    expect(dangerousSwitch(['--hidden', argument])).not.toBeNull();
  });

  it('starts with what a login item and a link bring', () => {
    expect(dangerousSwitch(['--hidden', '--user-data-dir=/home/mira/x', '--', 'curfew://grant/grt_x'])).toBeNull();
  });
});

describe('links', () => {
  const id = 'a'.repeat(26);
  it('APP-06 go to a request or a grant', () => {
    expect(placeOfLink(['curfew', '--', `curfew://request/req_${id}`])).toEqual({
      place: 'approvals',
      id: `req_${id}`,
    });
    expect(placeOfLink([`curfew://grant/grt_${id}/`])).toEqual({ place: 'access', id: `grt_${id}` });
  });

  it.each([
    `curfew://approve/req_${id}`,
    `curfew://request/grt_${id}`,
    `curfew://request/req_${id}?approve=1`,
    `curfew://request/req_${id}/../x`,
    `curfew://request/req_%61${id}`,
    `curfew://request/req_${'a'.repeat(5000)}`,
    `x curfew://request/req_${id}`,
    `curfew://request/req_${id}\n`,
    'curfew://settings?backendUrl=https://evil.example',
  ])('APP-06 drops %s', (link) => {
    expect(placeOfLink([link])).toBeNull();
  });
});

describe('outside', () => {
  it('APP-10 opens https only, and this computer only while AWS is played', () => {
    expect(mayOpenOutside('https://harborline.awsapps.com/start', [])).toBe(true);
    expect(mayOpenOutside('http://127.0.0.1:4566/authorize', ['AWS_ENDPOINT_URL = …'])).toBe(true);
    for (const url of [
      'http://127.0.0.1:4566/',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'https://u:p@aws.example',
      'smb://x',
      '',
    ]) {
      expect(mayOpenOutside(url, []), url).toBe(false);
    }
    expect(mayOpenOutside('http://evil.example/', ['AWS_ENDPOINT_URL = …'])).toBe(false);
  });

  it('APP-04 takes no organisation that points elsewhere', () => {
    expect(() => checkOrganisation(organisation)).not.toThrow();
    expect(() => checkOrganisation({ ...organisation, backendUrl: 'http://127.0.0.1:8080' })).not.toThrow();
    const wrong = [
      { backendUrl: 'http://curfew.example.com' },
      { backendUrl: 'https://u:p@curfew.example.com' },
      { startUrl: 'https://x.awsapps.com.evil.example/' },
      { ssoRegion: 'x/#' },
    ];
    for (const part of wrong)
      expect(() => checkOrganisation({ ...organisation, ...part }), JSON.stringify(part)).toThrow();
  });

  it.each([
    ['backendUrl', 'http://curfew.example.com'],
    ['backendUrl', 'http://localhost.evil.example'],
    ['backendUrl', 'http://127.0.0.1.evil.example:8080'],
    ['backendUrl', 'https://curfew.example.com/path'],
    ['backendUrl', 'https://curfew.example.com?x=1'],
    ['backendUrl', 'https://curfew.example.com:99999'],
    ['backendUrl', 'curfew.example.com'],
    ['backendUrl', 'ftp://curfew.example.com'],
    ['backendUrl', 'not an address'],
    ['backendUrl', ' https://curfew.example.com'],
    ['startUrl', 'http://harborline.awsapps.com/start'],
    ['startUrl', 'https://harborline.awsapps.com:8443/start'],
    ['startUrl', 'https://u:p@harborline.awsapps.com/start'],
    ['startUrl', 'https://awsapps.com.evil.example/start'],
    ['startUrl', 'https://evilawsapps.com/start'],
    ['startUrl', 'harborline'],
    ['ssoRegion', 'Frankfurt'],
    ['ssoRegion', 'eu-central-1.evil.example/#'],
  ] as const)('APP-04 names the wrong part: %s = %s', (part, value) => {
    const check = () => checkOrganisation({ ...organisation, [part]: value });
    expect(check).toThrow(Refusal);
    expect(check).toThrow(
      expect.objectContaining({ code: 'invalid_input', detail: expect.objectContaining({ path: part }) }),
    );
  });
});

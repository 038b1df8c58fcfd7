import { describe, expect, test } from 'vitest';
import { checkStreamUrl } from './connection.ts';

const path = '/v1/data-channel/alice-0123?role=publish_subscribe';
const launch = { sessionId: 'alice-0123', region: 'eu-central-1', loopbackAllowed: false };

describe('TERM-09 where StreamUrl may point', () => {
  test.each([
    ['the region', `wss://ssmmessages.eu-central-1.amazonaws.com${path}`],
    ['with the cell number of today', `wss://ssmmessages.eu-central-1.amazonaws.com${path}&cell-number=AAEAAQ`],
    ['FIPS', `wss://ssmmessages-fips.eu-central-1.amazonaws.com${path}`],
    ['dual stack', `wss://ssmmessages.eu-central-1.api.aws${path}`],
    ['the default port said aloud', `wss://ssmmessages.eu-central-1.amazonaws.com:443${path}`],
  ])('%s is dialled', (_name, streamUrl) => {
    expect(checkStreamUrl(streamUrl, launch).protocol).toBe('wss:');
  });

  test.each([
    ['another host', `wss://evil.example${path}`],
    ['another region', `wss://ssmmessages.us-east-1.amazonaws.com${path}`],
    ['a host that ends like AWS', `wss://evilssmmessages.eu-central-1.amazonaws.com${path}`],
    ['AWS as a prefix', `wss://ssmmessages.eu-central-1.amazonaws.com.evil.example${path}`],
    ['AWS as a user name', `wss://ssmmessages.eu-central-1.amazonaws.com@evil.example${path}`],
    ['another AWS service', `wss://ssm.eu-central-1.amazonaws.com${path}`],
    ['no encryption', `ws://ssmmessages.eu-central-1.amazonaws.com${path}`],
    ['https', `https://ssmmessages.eu-central-1.amazonaws.com${path}`],
    ['another port', `wss://ssmmessages.eu-central-1.amazonaws.com:8443${path}`],
    ['another session', `wss://ssmmessages.eu-central-1.amazonaws.com/v1/data-channel/bob-0123?role=publish_subscribe`],
    ['another path', `wss://ssmmessages.eu-central-1.amazonaws.com/v1/control-channel/alice-0123`],
    ['loopback', `ws://127.0.0.1:4566${path}`],
    ['loopback by name', `wss://localhost${path}`],
    ['a fragment', `wss://ssmmessages.eu-central-1.amazonaws.com${path}#x`],
    ['China from elsewhere', `wss://ssmmessages.eu-central-1.amazonaws.com.cn${path}`],
    ['no address', 'nonsense'],
    ['empty', ''],
  ])('%s is refused', (_name, streamUrl) => {
    expect(() => checkStreamUrl(streamUrl, launch)).toThrow('not where AWS keeps sessions');
  });

  test.each([
    ['ws on 127.0.0.1', `ws://127.0.0.1:4566${path}`, true],
    ['ws on ::1', `ws://[::1]:4566${path}`, true],
    ['ws on localhost', `ws://localhost:4566${path}`, true],
    ['a name that begins like loopback', `ws://127.0.0.1.evil.example${path}`, false],
    ['the network', `ws://10.0.0.1${path}`, false],
    ['http on loopback', `http://127.0.0.1${path}`, false],
    ['another session on loopback', 'ws://127.0.0.1/v1/data-channel/bob?role=publish_subscribe', false],
  ])('with loopback allowed: %s', (_name, streamUrl, allowed) => {
    const check = () => checkStreamUrl(streamUrl, { ...launch, loopbackAllowed: true });
    if (allowed) expect(check().pathname).toContain('alice-0123');
    else expect(check).toThrow('not where AWS keeps sessions');
  });

  test('China has hosts of its own', () => {
    const china = { ...launch, region: 'cn-north-1' };
    expect(checkStreamUrl(`wss://ssmmessages.cn-north-1.amazonaws.com.cn${path}`, china).port).toBe('');
    expect(() => checkStreamUrl(`wss://ssmmessages.cn-north-1.amazonaws.com${path}`, china)).toThrow();
  });
});

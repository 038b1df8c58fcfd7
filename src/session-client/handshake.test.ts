import { describe, expect, test } from 'vitest';
import { answerHandshake, closingReason, customerMessage } from './handshake.ts';

const asked = (actions: unknown) =>
  answerHandshake(Buffer.from(JSON.stringify({ AgentVersion: '3.3.0.0', RequestedClientActions: actions })));
const answered = (actions: unknown) => JSON.parse(asked(actions)?.response.toString('utf8') ?? 'null');

test.each(['Standard_Stream', 'InteractiveCommands', 'NonInteractiveCommands'])('a %s session is a shell', (type) => {
  const actions = [{ ActionType: 'SessionType', ActionParameters: { SessionType: type, Properties: null } }];
  expect(answered(actions)).toMatchObject({
    ProcessedClientActions: [{ ActionType: 'SessionType', ActionStatus: 1, ActionResult: null, Error: '' }],
    Errors: null,
  });
  expect(asked(actions)?.problem).toBeNull();
});

test('a port session is refused with a reason', () => {
  const actions = [{ ActionType: 'SessionType', ActionParameters: { SessionType: 'Port', Properties: {} } }];
  expect(answered(actions).ProcessedClientActions[0].ActionStatus).toBe(2);
  expect(asked(actions)?.problem).toContain('Port');
});

describe('TERM-08 greetings of a hostile machine', () => {
  test('a KMS key is never fetched, whoever names it', () => {
    const actions = [
      { ActionType: 'SessionType', ActionParameters: { SessionType: 'Standard_Stream' } },
      { ActionType: 'KMSEncryption', ActionParameters: { KMSKeyId: 'arn:aws:kms:eu-central-1:999999999999:key/x' } },
    ];
    expect(answered(actions).ProcessedClientActions).toEqual([
      { ActionType: 'SessionType', ActionStatus: 1, ActionResult: null, Error: '' },
      { ActionType: 'KMSEncryption', ActionStatus: 3, ActionResult: null, Error: 'Unsupported action KMSEncryption' },
    ]);
  });
  test('an unknown action is unsupported', () => {
    expect(answered([{ ActionType: 'Dance' }]).ProcessedClientActions[0].ActionStatus).toBe(3);
  });
  test.each([
    ['deep JSON', Buffer.from('['.repeat(60_000))],
    ['deep JSON that closes', Buffer.from('['.repeat(30_000) + ']'.repeat(30_000))],
    [
      'a million actions',
      Buffer.from(JSON.stringify({ RequestedClientActions: Array(3000).fill({ ActionType: 'a' }) })),
    ],
    ['more than 64 KiB', Buffer.from(JSON.stringify({ RequestedClientActions: [], x: 'y'.repeat(70_000) }))],
    ['no JSON', Buffer.from([0xff, 0xfe, 0])],
    ['null', Buffer.from('null')],
  ])('%s is no greeting', (_name, payload) => {
    expect(answerHandshake(payload)).toBeNull();
  });
  test('deep parameters of a known action do not matter', () => {
    const deep = `{"RequestedClientActions":[{"ActionType":"X","ActionParameters":${'['.repeat(20_000)}${']'.repeat(20_000)}}]}`;
    expect(answerHandshake(Buffer.from(deep))?.problem).toBe('Unsupported action X');
  });
});

test('words from the far end are one bounded line without control characters', () => {
  const reason = closingReason(
    Buffer.from(JSON.stringify({ Output: `a\u001b]52;c;xx\u0007b\r\n\u202ec${'d'.repeat(2000)}` })),
  );
  expect(reason).toMatch(/^a \]52;c;xx b c?d* ?c?d*$/);
  expect(reason.length).toBeLessThanOrEqual(500);
  expect(customerMessage(Buffer.from('{"CustomerMessage":null}'))).toBe('');
  expect(closingReason(Buffer.from('no json'))).toBe('');
});

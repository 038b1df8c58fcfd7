import { expect, it } from 'vitest';
import { hashWords, receiptLines, toneOf } from './story-lines.ts';

const receipt = {
  stage: 'gone' as const,
  policyGoneAt: '2026-11-19T14:00:00.412Z',
  policyGoneMs: 412,
  sessionsGoneAt: '2026-11-19T14:00:01.830Z',
  sessionsGoneMs: 1830,
  sessionsTerminated: ['s-1'],
  looks: 2,
  sealedAt: null,
};

it('is verified only when both are gone, and says when it is not sealed yet', () => {
  const lines = receiptLines(receipt);
  expect(lines.find(({ what }) => what === 'VERIFIED')?.value).toBe('1.8 s');
  expect(lines.at(-1)?.value).toBe('not sealed yet');
  expect(receiptLines({ ...receipt, stage: 'sealed', sealedAt: '2026-11-19T14:01:32.000Z' }).at(-1)?.value).toBe(
    'nothing more found',
  );
});

it('gives a kind that it does not know a plain dot', () => {
  expect([toneOf('request.denied'), toneOf('grant.ended'), toneOf('something.new')]).toEqual(['no', 'ok', 'plain']);
});

it('cuts a hash into groups', () => {
  expect(hashWords('a41f0c9e77d25b38ffff')).toBe('a41f 0c9e 77d2 5b38');
});

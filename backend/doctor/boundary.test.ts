import { describe, expect, test } from 'vitest';
import { boundaryWidenings } from './boundary.ts';

const nodes = 'arn:aws:ec2:*:482011773306:instance/*';
const allow = (Action: string | string[], Resource: string | string[] = '*') => ({ Effect: 'Allow', Action, Resource });
const never = {
  Effect: 'Deny',
  Action: 'ssm:StartSession',
  Resource: '*',
  Condition: { StringEquals: { 'ssm:resourceTag/curfew': 'never' } },
};
const widenings = (...Statement: object[]) => boundaryWidenings(JSON.stringify({ Version: '2012-10-17', Statement }));

describe('a boundary', () => {
  test('as deployed, or narrower, is all right', () => {
    const start = allow('ssm:StartSession', [nodes, 'arn:aws:ssm:*:482011773306:document/Curfew-*']);
    expect(widenings(start, allow(['ssm:ResumeSession', 'ssm:TerminateSession']), never)).toEqual([]);
    const oneRegion = allow('ssm:StartSession', 'arn:aws:ec2:eu-central-1:482011773306:instance/*');
    expect(widenings(oneRegion, never, { Effect: 'Deny', Action: '*', Resource: '*' })).toEqual([]);
  });

  test.each([
    ['another action', allow('ssm:SendCommand', nodes), 'it allows ssm:SendCommand'],
    ['an action by wildcard', allow('ssm:*', nodes), 'it allows ssm:*'],
    ['sessions on everything', allow('SSM:startsession'), 'it allows ssm:StartSession on *'],
    [
      'another document',
      allow('ssm:StartSession', 'arn:aws:ssm:*:482011773306:document/AWS-*'),
      'it allows ssm:StartSession on arn:aws:ssm:*:482011773306:document/AWS-*',
    ],
    ['NotAction', { Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }, 'it allows by NotAction or NotResource'],
  ])('that allows %s is wider', (_what, statement, told) => {
    expect(widenings(statement, never)).toEqual([told]);
  });

  test('that lets people on fenced nodes is wider; what cannot be read is told', () => {
    expect(widenings(allow('ssm:StartSession', nodes))).toEqual([
      'it does not deny ssm:StartSession on nodes tagged curfew=never',
    ]);
    expect(boundaryWidenings('not JSON')).toEqual(['its document is not JSON']);
    expect(boundaryWidenings('{}')).toEqual(['its document has a form that Curfew does not know']);
  });
});

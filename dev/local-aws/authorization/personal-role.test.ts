/** Who may enter a personal role, whatever people are called: the backend's template, judged by IAM's rules. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { personalRoleTemplate, type RoleSetting } from '../../../backend/access-policy/personal-role.ts';
import { globalContextKeys } from './authorise.ts';
import { callerOfSession } from './caller.ts';
import { evaluateTrust } from './evaluate.ts';
import { requestContext } from './match-pattern.ts';
import { parsePolicyDocument } from './policy-document.ts';

const now = new Date('2026-11-22T10:00:00Z');
const setting: RoleSetting = {
  partition: 'aws',
  accountId: '111122223333',
  identityStoreId: 'd-9067f4a2c1',
  ssoRegion: 'eu-central-1',
  permissionSet: 'CurfewUser',
  signInAccounts: [],
  boundaryArn: 'arn:aws:iam::111122223333:policy/curfew/CurfewBoundary',
};
const userName = fc.oneof(
  fc.constantFrom(
    '*',
    '?',
    'mira*',
    '*mira',
    'm?ra',
    '$' + '{aws:username}',
    'mira:*',
    'AROASSO:mira',
    'mira"',
    'mira\\',
  ),
  fc.string({ minLength: 1, maxLength: 128, unit: 'grapheme' }),
);
const id = fc.uuid({ version: 4 });

/** May this person, signed in through Identity Center, enter the role under this session name? */
const mayEnter = (trust: string, who: { id: string; userName: string }, roleSessionName: string): boolean => {
  const caller = callerOfSession({
    role: {
      accountId: setting.accountId,
      name: 'AWSReservedSSO_CurfewUser_0123456789abcdef',
      path: '/aws-reserved/sso.amazonaws.com/eu-central-1/',
      id: 'AROASSO',
      tags: {},
    },
    sessionName: who.userName,
    contextKeys: { 'identitystore:UserId': [who.id] },
  });
  const context = requestContext(caller.contextKeys, globalContextKeys(now), {
    'sts:RoleSessionName': [roleSessionName],
  });
  const judged = evaluateTrust(parsePolicyDocument(trust, 'trust'), { action: 'sts:AssumeRole', caller, context });
  return judged !== 'implicit-deny' && judged !== 'explicit-deny';
};

const trustShape = z.object({ Statement: z.array(z.object({ Condition: z.record(z.string(), z.unknown()) })) });

describe('AWS-05 names with wildcards', () => {
  test('AWS-05 a role lets in its person under its one session name, and nobody else under any', () => {
    const people = fc.record({ owner: userName, other: userName, ownerId: id, otherId: id, tried: userName });
    fc.assert(
      fc.property(people, ({ owner, other, ownerId, otherId, tried }) => {
        fc.pre(ownerId !== otherId);
        const { sessionName, trust } = personalRoleTemplate(setting, { id: ownerId, userName: owner });
        expect(mayEnter(trust, { id: ownerId, userName: owner }, sessionName)).toBe(true);
        if (tried !== sessionName) {
          expect(mayEnter(trust, { id: ownerId, userName: owner }, tried)).toBe(false);
        }
        // A colleague, also one who has taken the owner's name.
        for (const name of [other, owner]) {
          expect(mayEnter(trust, { id: otherId, userName: name }, sessionName)).toBe(false);
          expect(mayEnter(trust, { id: otherId, userName: name }, tried)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('AWS-05 what data puts into a trust policy is compared whole: the only pattern is the permission set’s role', () => {
    fc.assert(
      fc.property(userName, id, (name, personId) => {
        const { trust } = personalRoleTemplate(setting, { id: personId, userName: name });
        for (const { Condition } of trustShape.parse(JSON.parse(trust)).Statement) {
          expect(Object.keys(Condition).sort()).toEqual(['ArnLike', 'StringEquals']);
          expect(Condition['ArnLike']).toEqual({
            'aws:PrincipalArn': [
              'arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_CurfewUser_*',
            ],
          });
          expect(JSON.stringify(Condition['StringEquals'])).not.toMatch(/[*?$]/);
        }
      }),
    );
  });

  test.each(['*', '????????-????-????-????-????????????', '', 'c2c5d4e4*'])(
    'AWS-05 the id %j makes no role',
    (personId) => {
      expect(() => personalRoleTemplate(setting, { id: personId, userName: 'mira' })).toThrow('Not an Identity Center');
    },
  );

  test.each(['mira*', '?', 'm', 'mira okafor', `a${'b'.repeat(64)}`])(
    'AWS-05 the session name %j makes no role',
    (name) => {
      const person = { id: 'c2c5d4e4-1021-70aa-8b10-000000000001', userName: 'mira' };
      expect(() => personalRoleTemplate(setting, person, name)).toThrow('Not a role session name');
    },
  );
});

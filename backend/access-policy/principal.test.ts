import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { personalRoleName, roleSessionName, sessionOwnerArn } from './principal.ts';

const store = 'd-9067f4a2c1';
/** User names as Identity Center allows them, often alike; ids are made of the index. */
const name = fc.oneof(
  fc.constantFrom(
    'alice',
    'alice-bob',
    'alice.bob',
    'ALICE',
    'alice_bob',
    'alicé',
    'alice-',
    '-alice',
    'a',
    'alice*',
    'al?ce',
  ),
  fc.string({ minLength: 1, maxLength: 128, unit: 'grapheme' }),
);
const idOf = (index: number): string => `c2c5d4e4-1021-70aa-8b10-${index.toString(16).padStart(12, '0')}`;

describe('AWS-04 names of principals', () => {
  test('AWS-04 no two people share a role, a session name, or the beginning of a session id', () => {
    fc.assert(
      fc.property(fc.array(name, { minLength: 2, maxLength: 12 }), (names) => {
        const people = names.map((userName, index) => {
          const sessionName = roleSessionName(userName, idOf(index));
          return {
            role: personalRoleName(store, idOf(index)),
            sessionName,
            session: `${sessionName}-0123456789abcdef0`,
          };
        });
        expect(new Set(people.map(({ role }) => role)).size).toBe(people.length);
        for (const { role, sessionName } of people) {
          expect(role).toMatch(/^curfew-[0-9a-f]{20}$/);
          // What IAM takes, and nothing that means something in a policy: the access policy ends it with `-*`.
          expect(sessionName).toMatch(/^[a-z0-9.]{0,40}\.[0-9a-f]{8}$/);
        }
        for (const [index, one] of people.entries()) {
          const caught = people.filter(({ session }) => session.startsWith(`${one.sessionName}-`));
          expect(caught).toEqual([people[index]]);
        }
      }),
    );
  });

  test('AWS-04 a name that was given away gives no way to what its former owner had', () => {
    const [former, newcomer] = [idOf(1), idOf(2)].map((id) => ({
      partition: 'aws',
      accountId: '482011773306',
      roleName: personalRoleName(store, id),
      sessionName: roleSessionName('alice@example.com', id),
    }));
    if (former === undefined || newcomer === undefined) throw new Error('two people');
    expect(sessionOwnerArn(former)).not.toBe(sessionOwnerArn(newcomer));
    expect(former.sessionName).not.toBe(newcomer.sessionName);
    // The same person of another identity store is somebody else.
    expect(personalRoleName('d-0000000000', idOf(1))).not.toBe(former.roleName);
  });
});

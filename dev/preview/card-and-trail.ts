/** What an approver and an auditor of the pictured organisation read: a request's card, the trail, one story. */
import type { AccessRequest } from '../../src/shared/access.ts';
import { durationWords } from '../../src/shared/countdown.ts';
import type { AuditRow, RequestCard, Story } from '../../src/shared/views.ts';
import { accounts, approvers, at, decidedBy, grants, id, people, refs, retagged } from './world.ts';

const diffOf = ({ instances, durationSeconds }: AccessRequest): string => `  "Statement": [
    { "Sid": "Shell1642", 1 instance until 16:42, unchanged },
+    { "Sid": "ShellNew", "Effect": "Allow", "Action": "ssm:StartSession",
+      "Resource": [
${instances.map(({ instanceId }) => `+        "arn:aws:ec2:eu-central-1:482011773306:instance/${instanceId}",`).join('\n')}
+        "arn:aws:ssm:eu-central-1:482011773306:document/Curfew-Shell" ],
+      "Condition": { "DateLessThan": { "aws:CurrentTime": "connect + ${durationWords(durationSeconds)}" } } }`;

const [first] = refs(retagged.instances);
const tagChanges: NonNullable<RequestCard['tagChanges']> =
  first === undefined
    ? []
    : [
        {
          instance: first,
          name: 'payments-api-1',
          changes: [
            { key: 'team', from: 'Platform', to: null, at: at(-300) },
            { key: 'env', from: 'production', to: 'development', at: at(-12) },
          ],
        },
      ];

/** The card of a request as its approver sees it. */
export const cardOf = (wanted: AccessRequest): RequestCard => ({
  request: wanted,
  seenHash: 'ab'.repeat(32),
  wider: [],
  ...(wanted.id === retagged.id ? { tagChanges } : {}),
  change: [
    {
      accountId: accounts['payments-prod'],
      accountName: 'payments-prod',
      principal: 'arn:aws:iam::482011773306:role/curfew/a1',
      allows: [
        `May start a shell on ${wanted.instances.map(({ name }) => name).join(', ')} for ${durationWords(wanted.durationSeconds)} from connecting, 20:00 at the latest.`,
      ],
      stillNot: ['other instances', 'port forwarding', 'SSH', 'run command'],
      diff: diffOf(wanted)
        .split('\n')
        .map((line) => ({
          change: line.startsWith('+') ? 'added' : 'same',
          text: line.startsWith('+') ? line.slice(1) : line,
        })),
      whole: `{\n  "Version": "2012-10-17",\n${diffOf(wanted).replaceAll('\n+', '\n ')}\n  ]\n}`,
      room: { now: 812, after: 1324, limit: 10_240, moreInstances: 130 },
    },
  ],
  why:
    wanted.id === retagged.id
      ? { ruleId: 'payments-team', text: 'A lead of the owning team decides.', approvers, approvalsNeeded: 1 }
      : { ruleId: 'ledger-data', text: 'No rule lets Payments in at once.', approvers, approvalsNeeded: 1 },
  history: { asked: 6, approved: 6, denied: 0, lastAt: at(-3000), usedSeconds: 4320, endedEarly: 4 },
  hasNow: [grants.soon, grants.calm],
  mayDecide: wanted.state === 'waiting' ? { yes: true } : { yes: false, why: 'It is decided.' },
});

const lines: Array<[minutes: number, kind: string, actor: string, sentence: string]> = [
  [-178, 'request.submitted', 'Rhea Nakamura', 'Rhea Nakamura asked for a shell on payments-ledger-db-2 for 30 min'],
  [-178, 'rule.asks', 'rules', 'Rule ledger-data asks for 1 of 5'],
  [-175, 'request.approved', 'Jonas Lindqvist', 'Jonas Lindqvist approved 30 min on payments-ledger-db-2'],
  [-173, 'grant.connected', 'Rhea Nakamura', 'The clock started, end 12:37:02'],
  [-173, 'access-policy.written', 'curfew', 'Access policy written and read back in 0.9 s'],
  [-172, 'session.started', 'Rhea Nakamura', 'Session rhea.nakamura.4c1d09e2-0b7f3a started on payments-ledger-db-2'],
  [-143, 'grant.ending', 'curfew', 'End reached, nobody extended'],
  [-143, 'grant.ended', 'curfew', 'Access policy gone 0.4 s, sessions gone 1.8 s after the end, verified'],
  [-120, 'session.terminated', 'curfew', 'A session without a grant on search-index-3 was found and terminated'],
  [-6, 'request.submitted', 'Mira Okafor', 'Mira Okafor asked for a shell on payments-batch-1 for 1 h'],
  [-3, 'request.submitted', 'Mira Okafor', 'Mira Okafor asked for a shell on payments-ledger-db-1 for 2 h'],
];

export const auditRows: AuditRow[] = lines
  .map(([minutes, kind, actor, sentence], index) => ({
    sequence: 48_101 + index,
    at: at(minutes, 11),
    kind,
    actor,
    sentence,
    requestId: index < 8 ? id('req', 'ended') : index === 8 ? null : id('req', index === 9 ? 'batch' : 'ledger'),
    grantId: null,
    instances: [],
    hash: `${(index + 10).toString(16).repeat(8)}a41f0c9e77d25b38`.slice(0, 64),
  }))
  .reverse();

export const story: Story = {
  request: {
    ...decidedBy('ended', people.rhea, ['payments-ledger-db-2'], 'approved'),
    reason: 'Check the index after the migration',
    ticket: 'PAY-2279',
  },
  grants: [grants.ended],
  rows: auditRows.filter((row) => row.requestId === id('req', 'ended')),
};

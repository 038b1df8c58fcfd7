import { describe, expect, it } from 'vitest';
import { type Because, type InstanceRef, refKey } from '../../../shared/access.ts';
import type { Preview, Verdict } from '../../../shared/views.ts';
import { checkDraft, draftToAdopt, durationProblem, emptyDraft, parseDuration, without } from './draft.ts';
import { impossible, partsOf, sayOf, startableNow } from './rules-say.ts';

const ref = (digit: string): InstanceRef => ({
  accountId: '482011773306',
  region: 'eu-central-1',
  instanceId: `i-${digit.repeat(17)}`,
});
const now = Date.UTC(2026, 10, 22, 12);
const people = ['Jonas', 'Aiko', 'Tomás', 'Dele', 'Elin'].map((displayName) => ({
  id: 'a1',
  userName: 'u',
  displayName,
}));
const atOnce: Verdict = { kind: 'at-once', ruleId: 'team', advice: null };
const person: Verdict = { kind: 'person', ruleId: 'ledger', approvalsNeeded: 1, approvers: people, advice: null };
const no: Verdict = { kind: 'no', ruleId: 'nights', advice: 'Not at night.' };
const preview = (verdict: Verdict, all: Verdict[], more: Partial<Preview> = {}): Preview => ({
  verdict,
  perInstance: all.map((each, index) => ({ instance: ref(String(index)), verdict: each })),
  nearest: null,
  longestSeconds: 7200,
  roleMissing: [],
  wider: [],
  ...more,
});

describe('a duration as people write it', () => {
  it.each([
    ['1h 30m', 5400],
    ['90', 5400],
    ['90 min', 5400],
    ['1:30', 5400],
    ['1.5h', 5400],
    ['1,5 h', 5400],
    ['2 hours', 7200],
    ['45m', 2700],
    ['30 s', 30],
  ])('%s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', 'soon', '1x', '1:75', '-5', 'h', 'm'])('"%s" is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it('has its limits', () => {
    expect(durationProblem(59)).not.toBeNull();
    expect(durationProblem(60)).toBeNull();
    expect(durationProblem(12 * 3600)).toBeNull();
    expect(durationProblem(12 * 3600 + 1)).not.toBeNull();
  });
});

describe('what is typed', () => {
  const draft = { ...emptyDraft, instances: [ref('a')] };

  it('can be previewed before there is a reason, and sent only with one', () => {
    const checked = checkDraft(draft);
    expect(checked.toPreview).not.toBeNull();
    expect(checked.toSend).toBeNull();
    expect(checked.fields.reason).toBeNull();
    expect(checkDraft({ ...draft, reason: 'slow query log' }).toSend).toMatchObject({
      reason: 'slow query log',
      ticket: null,
    });
  });

  it('names the field that is wrong and still asks the rules without the ticket', () => {
    const checked = checkDraft({ ...draft, reason: 'x', ticket: 'pay 1' });
    expect(checked.fields.ticket).toContain('PAY-2291');
    expect(checked.toSend).toBeNull();
    expect(checked.toPreview?.ticket).toBeNull();
    expect(checkDraft({ ...draft, reason: 'a\u202eb' }).fields.reason).toContain('characters that cannot be shown');
    expect(checkDraft({ ...draft, reason: 'y'.repeat(501) }).fields.reason).toContain('500');
  });

  it('counts what is too many', () => {
    const many = Array.from({ length: 22 }, (_, index) => ({
      ...ref('a'),
      instanceId: `i-${String(index).padStart(17, '0')}`,
    }));
    expect(checkDraft({ ...draft, instances: many }).fields.instances).toContain('Take 2 out');
  });

  it('is replaced only by a draft that somebody prepared, and only on arriving at the list', () => {
    const prepared = { ...draft, reason: 'ask again' };
    expect(draftToAdopt(draft, prepared, 'instances')).toBe(prepared);
    expect(draftToAdopt(draft, prepared, 'access')).toBeNull();
    expect(draftToAdopt(draft, draft, 'instances')).toBeNull();
    expect(draftToAdopt(draft, emptyDraft, 'instances')).toBeNull();
    expect(draftToAdopt(draft, null, 'instances')).toBeNull();
  });

  it('loses only the instance that is taken out', () => {
    expect(without({ ...draft, instances: [ref('a'), ref('b')], reason: 'r' }, ref('a'))).toMatchObject({
      instances: [ref('b')],
      reason: 'r',
    });
  });
});

describe('what the strip says', () => {
  it('promises a prompt only where no person is needed', () => {
    expect(sayOf(preview(atOnce, [atOnce]), 3600, now)).toMatchObject({
      tone: 'ok',
      button: 'Request and connect',
      rule: 'team',
    });
    expect(sayOf(preview(atOnce, [atOnce, atOnce]), 3600, now).button).toBe('Request 2 instances');
  });

  it('names people and how many of them must say yes', () => {
    const say = sayOf(preview(person, [person]), 3600, now);
    expect(say).toMatchObject({ title: 'One person must approve', button: 'Send to approvers' });
    expect(say.text).toBe('Any 1 of 5: Jonas, Aiko and 3 more.');
    expect(sayOf(preview({ ...person, approvalsNeeded: 2 }, [person]), 60, now).title).toBe('Two people must approve');
  });

  it('RQ-07 a person where a rule would give it, with why', () => {
    const ago = (minutes: number) => new Date(now - minutes * 60_000).toISOString();
    const text = (because: Because[]) => sayOf(preview({ ...person, because }, [person]), 3600, now).text;
    const env: Because = { kind: 'tag-changed', name: 'web-1', key: 'env', at: ago(12) };
    expect(text([env])).toMatch(/^The tag env of web-1 changed 12 minutes ago, so a person decides\. Any 1 of 5: /);
    expect(text([{ ...env, at: ago(0) }])).toMatch(/^The tag env of web-1 changed just now, so/);
    const hidden: Because = { ...env, name: 'web\u202e-2', at: ago(61) };
    expect(text([env, hidden])).toMatch(/12 minutes ago and the tag env of web<U\+202E>-2 changed 1 hour ago, so a/);
    expect(text([env, env, env, env, env])).toMatch(/ago and 2 more reasons, so a person decides\./);
  });

  it('offers the nearest that is possible and has no button where nothing is', () => {
    const say = sayOf(preview(no, [no], { nearest: { durationSeconds: 7200, kind: 'at-once' } }), 8 * 3600, now);
    expect(say).toMatchObject({
      button: null,
      title: 'Not possible for 8 h',
      nearest: { seconds: 7200, words: 'then: approved at once' },
    });
    expect(say.text).toContain('The longest here is 2 h.');
  });

  it('says first that a personal role is missing', () => {
    const roleMissing = [
      { accountId: '482011773306', accountName: 'prod', state: 'missing' as const, advice: 'Ask Dele.' },
    ];
    expect(sayOf(preview(atOnce, [atOnce], { roleMissing }), 60, now)).toMatchObject({
      button: null,
      text: 'Ask Dele.',
    });
  });

  it('RQ-18 says before anything is sent who stopped it, and offers to go on without what is stopped', () => {
    const message = 'Dele stopped all access to pay-1: “under investigation”';
    const stopped = (instances: InstanceRef[]) => ({
      paused: { message, by: 'Dele', at: new Date(now - 60_000).toISOString(), instances },
    });
    const some = preview(atOnce, [atOnce, person], stopped([ref('1')]));
    const say = sayOf(some, 3600, now);
    expect(say).toMatchObject({ tone: 'no', title: 'Stopped by Dele', button: null, parts: [], nearest: null });
    expect(say.text).toMatch(/^Dele stopped all access to pay-1: “under investigation” Since .+, until it is lifted/);
    expect([...impossible(some)]).toEqual([refKey(ref('1'))]);
    expect(startableNow(some)).toEqual([]);
  });

  it('differs per instance only where the answers differ', () => {
    expect(partsOf(preview(person, [person, person]), 60)).toEqual([]);
    const parts = partsOf(preview(person, [atOnce, person, atOnce]), 7200);
    expect(parts.map((part) => [part.kind, part.refs.length])).toEqual([
      ['at-once', 2],
      ['person', 1],
    ]);
    expect(startableNow(preview(person, [atOnce, person]))).toEqual([ref('0')]);
    expect(startableNow(preview(atOnce, [atOnce]))).toEqual([]);
    expect(impossible(preview(no, [atOnce, no])).size).toBe(1);
  });
});

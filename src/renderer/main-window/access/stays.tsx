/** What stays reachable when one access ends: by which other one, until when, and how to end that too (threats RQ-21). */
import { Button } from '@mantine/core';
import { type Grant, type Instance, refKey } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { EndedAll, Stays, StillReachable } from '../../../shared/kill-switch.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { count, firstName, nameOf } from '../../look/words.ts';
import { useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './access.module.css';

const untilWords = ({ until }: StillReachable): string => {
  const at = timeOfDay(until.at, Date.now());
  return until.kind === 'end'
    ? `reachable until ${at} by another access`
    : `another access waits for the first connect, ${durationWords(until.durationSeconds)}, by ${at}`;
};

const byInstance = (reachable: readonly StillReachable[]): Array<{ instance: Instance; by: StillReachable[] }> => {
  const groups = new Map<string, { instance: Instance; by: StillReachable[] }>();
  for (const one of reachable) {
    const key = refKey(one.instance);
    const group = groups.get(key) ?? { instance: one.instance, by: [] };
    group.by.push(one);
    groups.set(key, group);
  }
  return [...groups.values()];
};

type StaysProps = {
  grant: Grant;
  stays: Stays;
  comment: string | null;
  /** Called when everything on one instance is ending. */
  onEnded: (outcome: EndedAll) => void;
};

/** The list, with "End all" for each instance; nothing when nothing stays. */
export const StaysList = ({ grant, stays, comment, onEnded }: StaysProps) => {
  const { send, meId } = useMain();
  const ending = useIntent();
  const own = grant.person.id === meId;
  const whose = own ? 'your' : `${firstName(grant.person)}’s`;
  if (stays.reachable.length === 0) return null;
  const endAll = ({ accountId, region, instanceId }: Instance): void => {
    const instance = { accountId, region, instanceId };
    void ending.run(() => send.endAllOn({ grantId: grant.id, instance, comment }), onEnded);
  };
  return (
    <div className={page['sunk']}>
      <ul className={css['stays']} aria-label="What stays reachable">
        {byInstance(stays.reachable).map(({ instance, by }) => (
          <li key={refKey(instance)}>
            <span className={page['grow']}>
              <b>{nameOf(instance)}</b>{' '}
              <span className={cx(page['small'], page['s2'])}>stays: {by.map(untilWords).join('; ')}</span>
            </span>
            <Button size="xs" variant="stop" loading={ending.busy} onClick={() => endAll(instance)}>
              End all {whose} access to {nameOf(instance)}
            </Button>
          </li>
        ))}
        {stays.waiting > 0 && (
          <li className={cx(page['small'], page['s2'])}>
            {count(stays.waiting, 'request')} for it {stays.waiting === 1 ? 'waits' : 'wait'} too: “End all” takes{' '}
            {stays.waiting === 1 ? 'it' : 'them'} back.
          </li>
        )}
      </ul>
      {ending.failure !== null && <FailureNote failure={ending.failure} />}
    </div>
  );
};

/** Which backends live, and whose clock is how far from the one that judges ends. */
import type { SystemHealth } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote, RowShapes, Status } from '../../look/pieces.tsx';
import { agoWords } from '../../look/time.ts';
import { count, seen } from '../../look/words.ts';
import { useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';

/** From here on the backend lists it among the findings, ms. */
const farMs = 2_000;

const aheadWords = (ms: number): string => {
  if (Math.abs(ms) < 50) return 'the same';
  const size = `${(Math.abs(ms) / 1000).toFixed(1)} s`;
  return ms > 0 ? `${size} ahead` : `${size} behind`;
};

const Clock = ({ ms }: { ms: number }) => (
  <Status tone={Math.abs(ms) > farMs ? 'no' : 'ok'} hollow={Math.abs(ms) <= farMs}>
    {aheadWords(ms)}
  </Status>
);

const Lines = ({ health }: { health: SystemHealth }) => {
  const now = Date.now();
  return (
    <table className={cx(page['table'], css['list'])} aria-labelledby="backends-title">
      <thead>
        <tr>
          <th>Backend or account</th>
          <th>Runs since</th>
          <th className={css['left']}>Clock</th>
        </tr>
      </thead>
      <tbody>
        {health.backends.map(({ name, version, since, clockAheadMs }) => (
          <tr key={name}>
            <td>
              {seen(name)} <span className={page['s3']}>version {seen(version)}</span>
            </td>
            <td>{agoWords(since, now)}</td>
            <td className={css['left']}>
              <Clock ms={clockAheadMs} />
            </td>
          </tr>
        ))}
        {health.clocks.map(({ accountId, accountName, aheadMs }) => (
          <tr key={accountId}>
            <td>
              AWS <span className={page['s3']}>as {seen(accountName)} answers</span>
            </td>
            <td />
            <td className={css['left']}>
              <Clock ms={aheadMs} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
};

const waitingWords = ({ ending, beginning, looking }: SystemHealth['due']): string =>
  ending + beginning + looking === 0
    ? 'nothing waits'
    : `${count(ending, 'ending')}, ${count(beginning, 'beginning')} and ${count(looking, 'look')} wait`;

/** The database's clock judges ends, AWS's the dates in access policies. */
export const Backends = () => {
  const { send, state } = useMain();
  const health = useLoaded(state.overview?.serverTime ?? '', () => send.readHealth({}));
  const { value, failure } = health;
  return (
    <section aria-labelledby="backends-title">
      <div className={css['sectionHead']}>
        <h2 id="backends-title">Backends and clocks</h2>
        <span className={page['s3']}>
          {value === null ? '' : `${waitingWords(value.due)}; clocks against the database’s, which judges ends`}
        </span>
      </div>
      {failure !== null && <FailureNote failure={failure} onRetry={health.reload} />}
      {value === null && failure === null && <RowShapes rows={2} label="Reading backends" />}
      {value !== null && <Lines health={value} />}
    </section>
  );
};

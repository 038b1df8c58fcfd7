/** What is not as it should be: endings that are not verified yet, and what the sweep found. */
import type { SlowEnding } from '../../../shared/kill-switch.ts';
import type { Finding, FoundAuthor } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote, RowShapes, Status } from '../../look/pieces.tsx';
import { measuredWords, timeOfDay } from '../../look/time.ts';
import { count, namesOf, seen } from '../../look/words.ts';
import { useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';
import { EndFound } from './end-found.tsx';

/** From here on look.md 3 calls an ending late, ms. */
const lateMs = 30_000;

const EndingLine = ({ ending }: { ending: SlowEnding }) => {
  const { grant, sinceMs, why } = ending;
  const late = sinceMs >= lateMs;
  return (
    <tr>
      <td className={page['name']}>{seen(grant.person.displayName)}</td>
      <td title={namesOf(grant.instances)}>{namesOf(grant.instances)}</td>
      <td className={css['left']}>
        <Status tone={late ? 'no' : 'ask'} hollow={!late}>
          {measuredWords(sinceMs)}
        </Status>
      </td>
      <td className={css['why']}>{seen(why)}</td>
    </tr>
  );
};

/** Grants past their end whose receipt is not written, longest first; nothing when there are none. */
export const StillEnding = () => {
  const { send, state } = useMain();
  const endings = useLoaded(state.overview?.serverTime ?? '', () => send.listEndings({}));
  const { value, failure } = endings;
  if (failure !== null) return <FailureNote failure={failure} onRetry={endings.reload} />;
  if (value === null || value.length === 0) return null;
  return (
    <section aria-labelledby="endings-title">
      <div className={css['sectionHead']}>
        <h2 id="endings-title">Still ending</h2>
        <span className={page['s3']}>{count(value.length, 'grant')} not verified yet; Curfew goes on by itself</span>
      </div>
      <table className={cx(page['table'], css['list'])} aria-labelledby="endings-title">
        <thead>
          <tr>
            <th className={css['person']}>Person</th>
            <th>Instances</th>
            <th className={css['left']}>Since</th>
            <th className={css['why']}>Why</th>
          </tr>
        </thead>
        <tbody>
          {value.map((ending) => (
            <EndingLine key={ending.grant.id} ending={ending} />
          ))}
        </tbody>
      </table>
    </section>
  );
};

const kindNames: Record<Finding['kind'], string> = {
  leftover_policy: 'Access policy without a grant',
  changed_document: 'Access policy differs from what we wrote',
  role_not_ours: 'Role without its fence',
  session_without_grant: 'Session without a grant',
  session_outside_app: 'Session that no app told of',
  bypass: 'Session past Curfew',
  session_document_changed: 'Session document changed',
  leaver_role: 'Role of somebody who left',
  slow_ending: 'Ending takes long',
  clock_skew: 'Clocks differ',
};

const whereWords = (finding: Finding): string =>
  [finding.accountName ?? finding.accountId, finding.region, finding.subject].flatMap((part) => part ?? []).join(', ');

const notKnown: Record<Exclude<FoundAuthor['kind'], 'known'>, string> = {
  waiting: 'CloudTrail does not know yet who did it. It comes minutes late, and is asked again.',
  refused:
    'Curfew may not ask CloudTrail who did it: its broker role needs cloudtrail:LookupEvents (deploy/curfew-account.yml).',
  unknown: 'CloudTrail did not tell who did it within an hour.',
};

/** Who did it, where CloudTrail was asked. */
const Author = ({ finding: { author, mendedAt } }: { finding: Finding }) => {
  if (author === undefined) return null;
  if (author.kind === 'known') {
    const { who, at, from, did } = author;
    const whence = from === null ? '' : ` from ${seen(from)}`;
    return (
      <p className={page['s2']}>
        By <b>{seen(who)}</b> at {timeOfDay(at, Date.now(), true)}
        {whence} (CloudTrail, {seen(did)})
      </p>
    );
  }
  // What nobody can tell any more helps nobody once it is mended.
  if (author.kind === 'unknown' && mendedAt !== null) return null;
  return <p className={page['s3']}>{notKnown[author.kind]}</p>;
};

const FindingLine = ({ finding, chosen }: { finding: Finding; chosen: boolean }) => {
  const now = Date.now();
  return (
    <li className={css['finding']} aria-current={chosen ? 'true' : undefined}>
      <span className={cx(page['num'], page['s3'])}>{timeOfDay(finding.since, now)}</span>
      <div className={page['grow']}>
        <h3>{kindNames[finding.kind]}</h3>
        <p className={cx(page['small'], page['s3'], css['subject'])}>{seen(whereWords(finding))}</p>
        <p className={page['s2']}>{seen(finding.what)}</p>
        {finding.mendedAt === null && <p className={page['s2']}>{seen(finding.advice)}</p>}
        <Author finding={finding} />
        <EndFound finding={finding} />
      </div>
      {finding.mendedAt === null ? (
        <Status tone="no">Open, seen {timeOfDay(finding.lastSeen, now)}</Status>
      ) : (
        <Status tone="ok">Mended {timeOfDay(finding.mendedAt, now)}</Status>
      )}
    </li>
  );
};

/** What the sweep found, open ones first. `openId`: a notice led to this one. */
export const Findings = ({ openId }: { openId: string | null }) => {
  const { send, state } = useMain();
  const findings = useLoaded(state.overview?.serverTime ?? '', () => send.listFindings({ openOnly: false }));
  const { value, failure } = findings;
  const open = (value ?? []).filter(({ mendedAt }) => mendedAt === null).length;
  return (
    <section aria-labelledby="findings-title">
      <div className={css['sectionHead']}>
        <h2 id="findings-title">Findings</h2>
        <span className={page['s3']}>
          {open === 0 ? 'nothing needs you' : `${open} ${open === 1 ? 'needs' : 'need'} you`}
        </span>
      </div>
      {failure !== null && <FailureNote failure={failure} onRetry={findings.reload} />}
      {value === null && failure === null && <RowShapes rows={2} label="Reading findings" />}
      {value !== null && value.length === 0 && (
        <p className={cx(css['nothing'], page['s3'])}>
          No access policy, role or session was found that no grant explains.
        </p>
      )}
      {value !== null && value.length > 0 && (
        <ul className={css['findings']}>
          {[...value]
            .sort((a, b) => Number(a.mendedAt !== null) - Number(b.mendedAt !== null))
            .map((finding) => (
              <FindingLine key={finding.id} finding={finding} chosen={finding.id === openId} />
            ))}
        </ul>
      )}
    </section>
  );
};

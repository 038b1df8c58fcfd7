/** The strip above the button: what the rules will do with the request, answered while it is typed. */
import { Button, Skeleton } from '@mantine/core';
import {
  type Icon,
  IconBan,
  IconBolt,
  IconCheck,
  IconCloudOff,
  IconKeyOff,
  IconPower,
  IconRefresh,
  IconUserCheck,
  IconUsers,
} from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { type InstanceRef, refKey } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { Failure } from '../../../shared/refusal.ts';
import type { Preview, Verdict } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Glyph, LinkButton, RoundMark } from '../../look/pieces.tsx';
import { failureWords, nameOf, seen } from '../../look/words.ts';
import { useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './request.module.css';
import { impossible, type Say, type SayPart, startableNow } from './rules-say.ts';

const marks: Record<Say['mark'], Icon> = {
  'at-once': IconBolt,
  'one-person': IconUserCheck,
  people: IconUsers,
  no: IconBan,
  'no-role': IconKeyOff,
  paused: IconPower,
};
const partMarks: Record<Verdict['kind'], { icon: Icon; tone: string }> = {
  'at-once': { icon: IconCheck, tone: 'okText' },
  person: { icon: IconUserCheck, tone: 'askText' },
  no: { icon: IconBan, tone: 'noText' },
};

const useNames = (): ((refs: InstanceRef[]) => string) => {
  const { known } = useMain();
  return (refs) =>
    refs
      .map((ref) => {
        const instance = known.get(refKey(ref));
        return instance === undefined ? ref.instanceId : nameOf(instance);
      })
      .join(', ');
};

const Part = ({ part }: { part: SayPart }) => {
  const names = useNames();
  const mark = partMarks[part.kind];
  return (
    <li className={css['part']}>
      <span className={page[mark.tone]}>
        <Glyph icon={mark.icon} size={14} />
      </span>
      <span>{names(part.refs)}</span>
      <span className={cx(page['s3'], page['small'])}>
        {part.text}
        {part.kind === 'person' && part.rule !== null && `: rule ${seen(part.rule)}`}
      </span>
    </li>
  );
};

const Frame = ({
  mark,
  title,
  stale,
  children,
}: {
  mark: ReactNode;
  title: string;
  stale: boolean;
  children: ReactNode;
}) => (
  <div className={cx(css['say'], stale && css['stale'])} role="status" aria-busy={stale}>
    {mark}
    <div className={page['grow']}>
      <h2>{title}</h2>
      {children}
    </div>
  </div>
);

type Props = {
  say: Say | null;
  preview: Preview | null;
  /** The draft has changed since this answer. */
  stale: boolean;
  failure: Failure | null;
  /** What is missing before the rules can be asked; null: nothing. */
  missing: string | null;
  onDuration: (seconds: number) => void;
  onTakeOut: (keys: Set<string>) => void;
  onStartNow: (refs: InstanceRef[]) => void;
  onRetry: () => void;
};

export const RulesStrip = (props: Props) => {
  const { say, preview, stale, failure, missing, onDuration, onTakeOut, onStartNow, onRetry } = props;
  const names = useNames();
  if (missing !== null) {
    return (
      <Frame mark={<RoundMark tone="plain" icon={IconUserCheck} />} title="What the rules will say" stale={false}>
        <p className={page['s2']}>{missing}</p>
      </Frame>
    );
  }
  if (failure !== null && !stale) {
    const { what, advice } = failureWords(failure);
    return (
      <Frame mark={<RoundMark tone="plain" icon={IconCloudOff} />} title="The rules cannot be asked now" stale={false}>
        <p className={page['s2']}>
          {what} {advice} Your draft is kept.
        </p>
        <div className={css['offer']}>
          <Button size="xs" variant="default" leftSection={<Glyph icon={IconRefresh} />} onClick={onRetry}>
            Try now
          </Button>
        </div>
      </Frame>
    );
  }
  if (say === null || preview === null) {
    return (
      <Frame mark={<RoundMark tone="plain" icon={IconRefresh} />} title="Asking the rules" stale>
        <Skeleton height={9} width="70%" radius={4} mt={8} animate={false} />
        <Skeleton height={9} width="45%" radius={4} mt={10} animate={false} />
      </Frame>
    );
  }
  const now = startableNow(preview);
  const out = impossible(preview);
  const { nearest } = say;
  const someOut = out.size > 0 && out.size < preview.perInstance.length;
  const rest = preview.perInstance.filter(({ verdict }) => verdict.kind === 'person').map(({ instance }) => instance);
  return (
    <Frame mark={<RoundMark tone={say.tone} icon={marks[say.mark]} />} title={say.title} stale={stale}>
      <p className={page['s2']}>{say.text}</p>
      {say.parts.length === 0 && say.rule !== null && (
        <p className={cx(page['small'], page['s3'])}>Rule {seen(say.rule)}</p>
      )}
      {say.parts.length > 0 && (
        <ul className={css['parts']}>
          {say.parts.map((part) => (
            <Part key={`${part.kind} ${part.rule ?? ''} ${part.text}`} part={part} />
          ))}
        </ul>
      )}
      {(nearest !== null || someOut) && (
        <div className={css['offer']}>
          {nearest !== null && (
            <>
              <Button size="xs" variant="default" onClick={() => onDuration(nearest.seconds)}>
                Use {durationWords(nearest.seconds)}
              </Button>
              <span className={cx(page['small'], page['s3'])}>{nearest.words}</span>
            </>
          )}
          {someOut && (
            <Button size="xs" variant="default" onClick={() => onTakeOut(out)}>
              {out.size === 1 ? 'Take it out' : `Take ${out.size} out`}
            </Button>
          )}
        </div>
      )}
      {now.length > 0 && rest.length > 0 && out.size === 0 && (
        <LinkButton onClick={() => onStartNow(now)}>
          Start {now.length === 1 ? names(now) : `the ${now.length}`} now and ask only for {names(rest)}
        </LinkButton>
      )}
    </Frame>
  );
};

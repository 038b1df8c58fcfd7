/** How long: presets one click away and a field for anything else. Time asked for is the one thing in ember. */
import { TextInput, UnstyledButton } from '@mantine/core';
import { IconClock } from '@tabler/icons-react';
import { useEffect, useId, useState } from 'react';
import { durationWords } from '../../../shared/countdown.ts';
import { cx } from '../../look/class-names.ts';
import { Glyph } from '../../look/pieces.tsx';
import { parseDuration } from './draft.ts';
import css from './request.module.css';

type Props = {
  seconds: number;
  presets: readonly number[];
  /** Longer ones are shown struck through and cannot be picked. */
  below?: number;
  onChange: (seconds: number) => void;
  problem: string | null;
  hint: string;
};

export const DurationPicker = ({ seconds, presets, below, onChange, problem, hint }: Props) => {
  const [own, setOwn] = useState('');
  const labelId = useId();
  const isPreset = presets.includes(seconds);
  // A duration set from elsewhere (a draft, "Use 2 h") shows in the field unless a preset holds it.
  useEffect(() => {
    setOwn((typed) => {
      if (isPreset) return parseDuration(typed) === seconds ? typed : '';
      return parseDuration(typed) === seconds ? typed : durationWords(seconds);
    });
  }, [seconds, isPreset]);
  const typedWrong = own !== '' && parseDuration(own) === null;
  return (
    <section className={css['field']}>
      <div className={css['fieldHead']}>
        <h3 id={labelId}>How long</h3>
        <span className={css['hint']}>{hint}</span>
      </div>
      <div className={css['durations']}>
        <div className={css['segments']} role="radiogroup" aria-labelledby={labelId}>
          {presets.map((preset) => {
            const tooLong = below !== undefined && preset > below;
            return (
              <UnstyledButton
                key={preset}
                role="radio"
                aria-checked={preset === seconds}
                disabled={tooLong}
                className={cx(css['segment'], preset === seconds && css['chosen'], tooLong && css['struck'])}
                onClick={() => {
                  setOwn('');
                  onChange(preset);
                }}
              >
                {durationWords(preset)}
              </UnstyledButton>
            );
          })}
        </div>
        <TextInput
          className={css['own']}
          aria-label="Another duration"
          placeholder="e.g. 1h 30m"
          leftSection={<Glyph icon={IconClock} size={14} />}
          value={own}
          maxLength={20}
          data-chosen={!isPreset || undefined}
          onChange={(event) => {
            const text = event.currentTarget.value;
            setOwn(text);
            const parsed = parseDuration(text);
            if (parsed !== null) onChange(parsed);
          }}
        />
      </div>
      {(typedWrong || problem !== null) && (
        <p className={css['problem']} role="alert">
          {typedWrong ? 'Write it like 45, 90 min or 1h 30m.' : problem}
        </p>
      )}
    </section>
  );
};

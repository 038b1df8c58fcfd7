/** Search in one terminal's text, before and after the end. Plain text only. */
import { ActionIcon, TextInput } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconSearch, IconX } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { Glyph } from '../look/pieces.tsx';
import type { Screen } from './screens.ts';
import css from './terminal-window.module.css';

const colours = () => {
  const styles = getComputedStyle(document.documentElement);
  const match = styles.getPropertyValue('--term-match').trim();
  const edge = styles.getPropertyValue('--ink').trim();
  return {
    matchBackground: match,
    matchOverviewRuler: match,
    activeMatchBackground: match,
    activeMatchBorder: edge,
    activeMatchColorOverviewRuler: edge,
  };
};

export const Find = ({ screen, onClose }: { screen: Screen; onClose: () => void }) => {
  const [text, setText] = useState('');
  const [found, setFound] = useState({ at: -1, of: 0 });
  useEffect(() => {
    const results = screen.search.onDidChangeResults(({ resultIndex, resultCount }) =>
      setFound({ at: resultIndex, of: resultCount }),
    );
    return () => {
      results.dispose();
      screen.search.clearDecorations();
      screen.terminal.focus();
    };
  }, [screen]);
  const look = (towards: 'next' | 'previous', wanted = text, incremental = false): void => {
    if (wanted === '') {
      screen.search.clearDecorations();
      setFound({ at: -1, of: 0 });
      return;
    }
    const options = { decorations: colours(), incremental };
    if (towards === 'next') screen.search.findNext(wanted, options);
    else screen.search.findPrevious(wanted, options);
  };
  const words = found.of === 0 ? 'none' : `${found.at + 1} of ${found.of}`;
  return (
    <search className={css['find']}>
      <TextInput
        aria-label="Find in this terminal"
        placeholder="Find"
        value={text}
        autoFocus
        leftSection={<Glyph icon={IconSearch} />}
        rightSection={text === '' ? null : <span className={css['findCount']}>{words}</span>}
        rightSectionWidth={72}
        onChange={(event) => {
          setText(event.currentTarget.value);
          look('previous', event.currentTarget.value, true);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onClose();
          if (event.key === 'Enter') look(event.shiftKey ? 'next' : 'previous');
        }}
      />
      <ActionIcon variant="subtle" size={28} aria-label="Previous match" onClick={() => look('previous')}>
        <Glyph icon={IconArrowUp} />
      </ActionIcon>
      <ActionIcon variant="subtle" size={28} aria-label="Next match" onClick={() => look('next')}>
        <Glyph icon={IconArrowDown} />
      </ActionIcon>
      <ActionIcon variant="subtle" size={28} aria-label="Close find" onClick={onClose}>
        <Glyph icon={IconX} />
      </ActionIcon>
      <span className={css['hidden']} role="status">
        {text === '' ? '' : `${words} for ${text}`}
      </span>
    </search>
  );
};

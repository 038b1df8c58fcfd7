/** What the terminal window asks before it does it: a paste of several lines, a link, closing what lives. */
import { Button, Modal } from '@mantine/core';
import css from './terminal-window.module.css';

export type Asking =
  | { kind: 'paste'; tabId: string; text: string; lines: number }
  | { kind: 'link'; url: string }
  | { kind: 'close'; tabId: string; name: string };

export const Question = ({ asking, onAnswer }: { asking: Asking | null; onAnswer: (yes: boolean) => void }) => {
  const words = asking === null ? null : questionWords(asking);
  return (
    <Modal
      opened={asking !== null}
      onClose={() => onAnswer(false)}
      title={words?.title}
      withCloseButton={false}
      // The terminal takes the focus back, not the button that asked.
      returnFocus={false}
      size="lg"
    >
      {words !== null && (
        <>
          <p>{words.text}</p>
          {words.preview !== null && <pre className={css['preview']}>{words.preview}</pre>}
          <div className={css['answers']}>
            <Button variant="default" onClick={() => onAnswer(false)}>
              {words.no}
            </Button>
            <Button variant="filled" onClick={() => onAnswer(true)} data-autofocus>
              {words.yes}
            </Button>
          </div>
        </>
      )}
    </Modal>
  );
};

const previewCharacters = 2_000;

const questionWords = (asking: Asking) => {
  switch (asking.kind) {
    case 'paste':
      return {
        title: `Paste ${asking.lines.toLocaleString('en-GB')} ${asking.lines === 1 ? 'line' : 'lines'}?`,
        text: 'A shell runs each line as it arrives. Read it first.',
        preview: asking.text.length > previewCharacters ? `${asking.text.slice(0, previewCharacters)}\n…` : asking.text,
        no: 'Do not paste',
        yes: 'Paste',
      };
    case 'link':
      return {
        title: 'Open this link?',
        text: 'It was printed by the instance.',
        preview: asking.url,
        no: 'Stay here',
        yes: 'Open in the browser',
      };
    case 'close':
      return {
        title: `Close the terminal on ${asking.name}?`,
        text: 'Its session ends. Your access goes on until its end.',
        preview: null,
        no: 'Keep it open',
        yes: 'Close and end the session',
      };
  }
};

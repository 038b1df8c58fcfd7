/** A terminal's output as text for a file: what a person read, without the sequences that draw it. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: these sequences are what is taken out
const strings = /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these sequences are what is taken out
const sequences = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[ -/]*[0-~]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what is taken out
const controls = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** Of a line that was drawn over again (a progress bar) the last state counts. */
const lastState = (line: string): string => line.split('\r').findLast((part) => part !== '') ?? '';

/** @param output as the program wrote it. @returns lines ending in a line feed, no control characters but tab. */
export const plainText = (output: string): string => {
  const text = output.replaceAll(strings, '').replaceAll(sequences, '').replaceAll('\r\n', '\n');
  const lines = text.split('\n').map((line) => lastState(line).replaceAll(controls, '').trimEnd());
  return `${lines.join('\n').trimEnd()}\n`;
};

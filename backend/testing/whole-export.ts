/** A whole export as one text: for trails as short as those of tests. */
import { exportParts } from '../audit/export.ts';

export const wholeExport = async (
  exporting: Parameters<typeof exportParts>[0],
): Promise<{ text: string; lines: string[]; rows: number }> => {
  let [text, rows] = ['', 0];
  for await (const part of exportParts(exporting)) {
    text += part.text;
    rows += part.rows;
  }
  return { text, lines: text.split('\n'), rows };
};

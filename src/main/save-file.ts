/** Files that a person asked for: for their eyes only, whole or not there at all. */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { PlainFault } from './ports.ts';

const step = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw new PlainFault(`${what} could not be written there. Nothing was changed.`, { cause: error });
  }
};

/**
 * Writes text part by part, beside `file` until it is whole.
 * @param what how a failure calls it, e.g. `The audit trail`.
 * @throws PlainFault when the disk does not take it; what `parts` throws. The file is as it was before then.
 */
export const saveFile = async (
  what: string,
  file: string,
  parts: Iterable<string> | AsyncIterable<string>,
): Promise<void> => {
  const beside = `${file}.part`;
  let handle: FileHandle | null = await step(what, () => open(beside, 'w', 0o600));
  const opened = handle;
  try {
    await step(what, () => opened.chmod(0o600));
    for await (const part of parts) await step(what, () => opened.writeFile(part));
    await step(what, async () => {
      await opened.sync();
      handle = null;
      await opened.close();
      await rename(beside, file);
    });
  } catch (error) {
    await handle?.close();
    await rm(beside, { force: true });
    throw error;
  }
};

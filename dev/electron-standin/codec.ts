/**
 * Values between the application and its pages: JSON with tags for what structured clone carries and JSON does not
 * (bytes, dates, errors, undefined). Both functions are also sent to pages as source text (`codecSource`), so they use
 * nothing but what every JavaScript world has.
 */

/** Text of a value. Functions and symbols throw, as structured clone would. */
export function encodeValue(value: unknown): string {
  return JSON.stringify(value, function tag(this: Record<string, unknown>, key: string, seen: unknown) {
    const raw = this[key];
    if (raw === undefined) return { $u: 1 };
    if (typeof raw === 'function' || typeof raw === 'symbol') throw new Error('An object could not be cloned.');
    if (raw instanceof Date) return { $d: raw.getTime() };
    if (raw instanceof Error) return { $e: raw.message, $n: raw.name };
    if (raw instanceof Uint8Array) {
      let bytes = '';
      for (let at = 0; at < raw.length; at += 8192) bytes += String.fromCharCode(...raw.subarray(at, at + 8192));
      return { $b: btoa(bytes) };
    }
    return seen;
  });
}

/** The value that `encodeValue` made the text of. */
export function decodeValue(text: string): unknown {
  return JSON.parse(text, (_key, seen) => {
    if (seen === null || typeof seen !== 'object') return seen;
    // A property that is undefined comes back as one that is not there, which nobody of ours tells apart.
    if ('$u' in seen) return undefined;
    if ('$d' in seen) return new Date(seen.$d);
    if ('$e' in seen)
      return seen.$n === 'Error' ? new Error(seen.$e) : Object.assign(new Error(seen.$e), { name: seen.$n });
    if ('$b' in seen) return Uint8Array.from(atob(seen.$b), (letter) => letter.charCodeAt(0));
    return seen;
  });
}

/** Both functions as JavaScript source (Node strips the types before `toString`). */
export const codecSource = `${encodeValue.toString()}\n${decodeValue.toString()}`;

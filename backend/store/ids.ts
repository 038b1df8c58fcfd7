/** Our own ids: a prefix that names the noun and 26 characters of base32 randomness (130 bits: not to be guessed). */
import { randomBytes } from 'node:crypto';

const letters = 'abcdefghijklmnopqrstuvwxyz234567';

/** A new id such as `req_` and 26 characters of a-z, 2-7; the schemas are in `src/shared/access.ts`. */
export const newId = (prefix: 'req' | 'grt' | 'dec' | 'ntc' | 'fnd' | 'kil'): string =>
  `${prefix}_${Array.from(randomBytes(26), (byte) => letters[byte & 31]).join('')}`;

/** Patterns of policy documents: `*` and `?`, policy variables, and ARNs that are matched part by part. */

/** Condition keys (lower case) and their values in one request. */
export type RequestContext = ReadonlyMap<string, readonly string[]>;

/** Makes a context from keys in any case; later records win. */
export const requestContext = (...records: Array<Record<string, readonly string[]> | undefined>): RequestContext =>
  new Map(
    records.flatMap((record) =>
      Object.entries(record ?? {}).map(([key, values]) => [key.toLowerCase(), values] as const),
    ),
  );

const anyText = Symbol('*');
const anyChar = Symbol('?');
type Token = string | typeof anyText | typeof anyChar;

const wildcards: Record<string, Token> = { '*': anyText, '?': anyChar };

/** The value of what stands in `${...}`: one value of the context, a default, or null where there is neither. */
const variable = (inside: string, context: RequestContext): string | null => {
  if (inside === '*' || inside === '?' || inside === '$') return inside;
  const [, key = inside, fallback] = /^([^,]+?)\s*,\s*'([^']*)'$/.exec(inside) ?? [];
  const values = context.get(key.trim().toLowerCase());
  const [only] = values ?? [];
  return values?.length === 1 && only !== undefined ? only : (fallback ?? null);
};

/** Characters and wildcards of a pattern; null when a variable has no value, and then nothing matches. */
const tokens = (pattern: string, context: RequestContext | null): Token[] | null => {
  const list: Token[] = [];
  for (const part of pattern.split(/(\$\{[^}]*\})/)) {
    if (context && part.startsWith('${') && part.endsWith('}')) {
      const value = variable(part.slice(2, -1), context);
      if (value === null) return null;
      list.push(...value);
    } else {
      for (const char of part) list.push(wildcards[char] ?? char);
    }
  }
  return list;
};

/** Greedy with one point of return: linear in practice, never exponential, whatever the pattern. */
const matches = (pattern: Token[], value: string[]): boolean => {
  let at = 0;
  let from = 0;
  let star = -1;
  let resume = 0;
  while (from < value.length) {
    const token = pattern[at];
    if (token === anyText) {
      star = at++;
      resume = from;
    } else if (token !== undefined && (token === anyChar || token === value[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === anyText) at++;
  return at === pattern.length;
};

/** Whole text against a pattern. `context` null: variables are plain text. */
export const matchesPattern = (pattern: string, value: string, context: RequestContext | null): boolean => {
  const list = tokens(pattern, context);
  return list !== null && matches(list, [...value]);
};

/** A text with its variables filled in and no wildcards; null when a variable has no value. */
export const fillVariables = (text: string, context: RequestContext | null): string | null => {
  if (!context) return text;
  let missing = false;
  const filled = text.replaceAll(/\$\{([^}]*)\}/g, (_, inside: string) => {
    const value = variable(inside, context);
    missing ||= value === null;
    return value ?? '';
  });
  return missing ? null : filled;
};

/** Six parts at colons; the last one keeps its colons. */
const arnParts = <T>(list: T[]): T[][] => {
  const parts: T[][] = [[]];
  for (const one of list) {
    if (one === ':' && parts.length < 6) parts.push([]);
    else parts.at(-1)?.push(one);
  }
  return parts;
};

/** An ARN against a pattern, part by part: a wildcard never reaches over a colon of the first five. `*` alone is everything. */
export const matchesArn = (pattern: string, arn: string, context: RequestContext | null): boolean => {
  if (pattern === '*') return true;
  const list = tokens(pattern, context);
  if (list === null) return false;
  const wanted = arnParts(list);
  const given = arnParts([...arn]);
  if (wanted.length !== given.length) return false;
  return wanted.every((part, index) => matches(part, given[index] ?? []));
};

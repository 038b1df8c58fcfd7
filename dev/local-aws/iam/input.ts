/** What IAM operations accept: name rules, path rules, document characters and paging, with IAM's ValidationError. */
import { z } from 'zod';
import { AwsError } from '../service.ts';

const pattern = (text: string) => `Member must satisfy regular expression pattern: ${text}`;
const shorter = (max: number) => `Member must have length less than or equal to ${max}`;

const name = (max: number) =>
  z
    .string()
    .max(max, shorter(max))
    .regex(/^[\w+=,.@-]+$/, pattern('[\\w+=,.@-]+'));

export const roleName = name(64);
export const userName = name(64);
export const groupName = name(128);
export const policyName = name(128);
export const path = z
  .string()
  .max(512, shorter(512))
  .regex(/^(\/|\/[\u0021-\u007e]+\/)$/, pattern('(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)'));
export const pathPrefix = z
  .string()
  .max(512, shorter(512))
  .regex(/^\/[\u0021-\u007e]*$/, pattern('\\u002F[\\u0021-\\u007E]*'));
export const document = z
  .string()
  .min(1, 'Member must have length greater than or equal to 1')
  .max(131_072, shorter(131_072))
  .regex(/^[\t\n\r\u0020-\u00ff]+$/, pattern('[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+'));
export const arn = z.string().min(20, 'Member must have length greater than or equal to 20').max(2048, shorter(2048));
export const versionId = z.string().regex(/^v[1-9][0-9]*$/, pattern('v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?'));
export const description = z.string().max(1000, shorter(1000)).optional();
export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
/** Seconds. */
export const sessionDuration = z.coerce.number().int().min(3600).max(43_200);
const tagText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const tagPattern = pattern('[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+');
export const tagKey = z.string().min(1).max(128, shorter(128)).regex(tagText, tagPattern);
export const tags = z
  .array(z.object({ Key: tagKey, Value: z.string().max(256, shorter(256)).regex(tagText, tagPattern) }))
  .max(50, shorter(50));
export const pageShape = {
  MaxItems: z.coerce.number().int().min(1).max(1000).default(100),
  Marker: z.string().optional(),
};

const fieldName = (parts: PropertyKey[]): string =>
  parts.map((part) => (typeof part === 'number' ? `${part + 1}.member` : String(part))).join('.');

/** Parses the input of an operation of IAM or STS; throws ValidationError in AWS's words. */
export const parseInput = <T>(schema: z.ZodType<T>, input: Record<string, unknown>): T => {
  const read = schema.safeParse(input);
  if (read.success) return read.data;
  const errors = read.error.issues.map((issue) => {
    const field = fieldName(issue.path);
    const at = field.charAt(0).toLowerCase() + field.slice(1);
    const missing = issue.code === 'invalid_type' && issue.input === undefined && input[field] === undefined;
    const constraint = missing ? 'Member must not be null' : issue.message;
    return `Value ${missing ? 'null ' : ''}at '${at}' failed to satisfy constraint: ${constraint}`;
  });
  const count = `${errors.length} validation error${errors.length === 1 ? '' : 's'} detected`;
  throw new AwsError('ValidationError', `${count}: ${errors.join('; ')}`, 400);
};

/** One page of a list and what IAM says about the rest. A marker names the position to go on from. */
export const pageOf = <T>(
  list: T[],
  page: { MaxItems: number; Marker?: string | undefined },
): { items: T[]; more: { IsTruncated: boolean; Marker: string | undefined } } => {
  const read = page.Marker === undefined ? '0' : Buffer.from(page.Marker, 'base64url').toString('utf8');
  if (!/^\d{1,9}$/.test(read)) throw new AwsError('InvalidInput', 'Invalid Marker', 400);
  const from = Number(read);
  const end = from + page.MaxItems;
  const truncated = end < list.length;
  const marker = truncated ? Buffer.from(String(end)).toString('base64url') : undefined;
  return { items: list.slice(from, end), more: { IsTruncated: truncated, Marker: marker } };
};

/** Characters that count against a quota: white space does not. */
export const countedCharacters = (text: string): number => text.replaceAll(/\s/g, '').length;

/** Reading what a caller of SSM sent, with AWS's words for what is wrong. */
import type { z } from 'zod';
import { AwsError, type Caller, type SignedRequest } from '../service.ts';

/** Where a call is made: everything of SSM is in one account and region. */
export type Place = { accountId: string; region: string };
export const placeOf = (caller: Caller, request: SignedRequest): Place => ({
  accountId: caller.accountId,
  region: request.region,
});

/** @throws AwsError ValidationException in the shape that SSM uses. */
export const parseInput = <S extends z.ZodType>(schema: S, input: unknown): z.output<S> => {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const told = issues.map(
    (issue) => `Value at '${issue.path.join('.')}' failed to satisfy constraint: ${issue.message}`,
  );
  const count = issues.length === 1 ? '1 validation error' : `${issues.length} validation errors`;
  throw new AwsError('ValidationException', `${count} detected: ${told.join('; ')}`);
};

/** One page of a list. Tokens are ours and opaque to callers. @throws AwsError InvalidNextToken. */
export const pageOf = <T>(
  items: T[],
  size: number,
  nextToken: string | undefined,
): { items: T[]; NextToken: string | undefined } => {
  const start = nextToken === undefined ? 0 : readToken(nextToken);
  const end = start + size;
  const token = end < items.length ? Buffer.from(`from ${end}`).toString('base64url') : undefined;
  return { items: items.slice(start, end), NextToken: token };
};

const readToken = (token: string): number => {
  const [, start] = /^from (\d{1,9})$/.exec(Buffer.from(token, 'base64url').toString('utf8')) ?? [];
  if (start === undefined) throw new AwsError('InvalidNextToken', 'The specified token is not valid.');
  return Number(start);
};

/** JSON 1.1 tells instants as seconds since 1970. */
export const epochSeconds = (at: Date): number => at.getTime() / 1000;

/** What the doctor says about one prerequisite, and how a look at AWS becomes it. */
import { AwsProblem } from '../aws/errors.ts';

export type Answer =
  | { state: 'ok'; found: string }
  /** `advice`: what to mend and where, in whole sentences. */
  | { state: 'not-ok' | 'unchecked'; found: string; advice: string };

/** `area`: where it belongs, e.g. an account; `check`: what was looked at. */
export type Finding = { area: string; check: string } & Answer;

export const ok = (found: string): Answer => ({ state: 'ok', found });
export const notOk = (found: string, advice: string): Answer => ({ state: 'not-ok', found, advice });
export const unchecked = (found: string, advice: string): Answer => ({ state: 'unchecked', found, advice });

const credentialCodes =
  /^(InvalidClientTokenId|UnrecognizedClientException|AuthFailure|SignatureDoesNotMatch|InvalidSignature|CredentialsProviderError|ExpiredToken|RequestExpired)/;

const failed = (error: unknown, mend: string): Answer => {
  if (!(error instanceof AwsProblem)) return notOk(error instanceof Error ? error.message : String(error), mend);
  const found = `AWS answered ${error.message}`;
  if (credentialCodes.test(error.code)) {
    return notOk(
      found,
      'Give this process valid AWS credentials (AWS_PROFILE, or a role of the machine) and try again.',
    );
  }
  if (error.kind === 'retry') {
    return notOk(
      found,
      'AWS could not be asked: look at network, proxy and AWS_ENDPOINT_URL settings, then try again.',
    );
  }
  return notOk(found, mend);
};

/**
 * One look. Whatever goes wrong in it is an answer too: the doctor goes on.
 * @param mend the advice when AWS says no.
 */
export const look = async (
  where: { area: string; check: string },
  mend: string,
  work: () => Promise<Answer> | Answer,
): Promise<Finding> => {
  try {
    return { ...where, ...(await work()) };
  } catch (error) {
    return { ...where, ...failed(error, mend) };
  }
};

/** `3 groups`, `1 group`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** The first few of many, for a line that people read. */
export const someOf = (names: readonly string[], most = 5): string =>
  names.length <= most ? names.join(', ') : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;

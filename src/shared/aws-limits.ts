/** How long AWS may take to answer, for every client of it: the backend's, the app's and the session client's. */

/** For calls that somebody at the app waits for, milliseconds. */
export const appAnswerMs = 10_000;

/**
 * What the SDK's HTTP handler is told. A breach of the time is only a warning unless it is asked for as an error, and none of its limits
 * holds unless it is set: a network that takes a call and never answers would leave whoever waits for it waiting for good.
 * @param answerMs until the answer of one attempt begins, and between its parts, milliseconds.
 */
export const awsLimits = (answerMs: number) => ({
  connectionTimeout: 5000,
  requestTimeout: answerMs,
  throwOnRequestTimeout: true,
  // The other one is over with the first header: an answer may also stop in its middle.
  socketTimeout: answerMs,
});

/** How long AWS may take to answer. */

/** How long one call may take, milliseconds. */
export const mostAnswerMs = 15_000;

/**
 * What the SDK's HTTP handler is told. A breach of the time is only a warning unless it is asked for as an error, and none of its limits
 * holds unless it is set: a call that hangs would hold whoever waits for it for good.
 * @param requestTimeout until the answer begins, and between its parts, milliseconds.
 */
export const handlerLimits = (requestTimeout: number) => ({
  connectionTimeout: 5000,
  requestTimeout,
  throwOnRequestTimeout: true,
  // The other one is over with the first header: an answer may also stop in its middle.
  socketTimeout: requestTimeout,
});

/**
 * How long AWS may take to answer the app, each attempt: a network that takes a call and never answers must not leave somebody waiting for good.
 * For the SDK's HTTP handler, milliseconds; a breach is only a warning there unless it is asked for as an error, and `requestTimeout` is
 * over with the first header.
 */
export const answerLimits = {
  connectionTimeout: 5_000,
  requestTimeout: 10_000,
  socketTimeout: 10_000,
  throwOnRequestTimeout: true,
};

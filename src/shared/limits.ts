/** The default limits, in one table (threats.md 4). Configuration may tighten them, never widen them. */
export const limits = {
  /** Characters (Unicode code points) of a reason after normalisation. */
  reasonCharacters: 500,
  instancesPerRequest: 20,
  /** Shortest and longest grant, seconds. Continuous access is capped at 12 h. */
  shortestGrantSeconds: 60,
  longestGrantSeconds: 12 * 3600,
  waitingRequestsPerPerson: 20,
  submitsPerHour: 60,
  readyGrantsPerPerson: 5,
  eventStreamsPerToken: 5,
  bodyBytes: 64 * 1024,
  callsPerBatch: 10,
  tokenLifeSeconds: 8 * 3600,
  /** Some acts of admins need a proof of identity that is at most this old. */
  freshSignInSeconds: 600,
  nonceLifeSeconds: 60,
  /** How far the signed date may be from the backend's clock. */
  proofSkewSeconds: 60,
  /** From the yes to the first connect. */
  connectWithinSeconds: 8 * 3600,
  /** A request that nobody decides lapses. */
  requestLapsesSeconds: 8 * 3600,
  /** So long after a tag changed that rules trust, a person decides about the instance. */
  tagChangeSeconds: 24 * 3600,
  /** Others see for this long that somebody has the card open. */
  claimSeconds: 5 * 60,
  /** Further looks for sessions after an ending was verified (aws-facts 6, step 4). */
  sealSeconds: 90,
} as const;

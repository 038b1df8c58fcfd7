/** Who may use the parts of local-aws that ask for no signature: programs on this machine, and no web page. */
import type { AwsRequest } from './service.ts';

const loopback = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/;
/** Clients that keep AWS's own host name while their socket goes here. */
const awsHost = /^[a-z0-9.-]+\.amazonaws\.com(?::\d+)?$/;

/** Whether the Host is one that a program of this machine uses. A name that a page had rebound to loopback is not. */
export const isMeantForUs = ({ headers }: AwsRequest): boolean => {
  const host = headers['host'] ?? '';
  return loopback.test(host) || awsHost.test(host);
};

/** Whether a page of another origin sent this: browsers name the origin with every POST and every cross-origin request. */
export const isFromForeignPage = ({ headers }: AwsRequest): boolean => {
  const origin = headers['origin'];
  return origin !== undefined && origin !== `http://${headers['host'] ?? ''}`;
};

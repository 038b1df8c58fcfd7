/** Which start URLs are Identity Center's (aws-facts 1.7, threats APP-04). */
import { Refusal } from '../shared/refusal.ts';

const suffixes = [
  '.awsapps.com',
  '.awsapps.cn',
  '.app.aws',
  '.portal.amazonaws.com',
  '.portal.amazonaws.com.cn',
  '.portal.amazonaws.eu',
  '.app.amazonwebservices.com.cn',
  '.api.amazonwebservices.eu',
];
const hosts = [
  'identitycenter.amazonaws.com',
  'identitycenter.amazonaws.com.cn',
  'identitycenter.amazonaws.eu',
  'identitycenter.us-gov.amazonaws.com',
];

/**
 * @returns the URL's host, to be shown. @throws Refusal `invalid_input` unless the address is https, without user information
 * or port, on a host that AWS owns.
 */
export const startUrlHost = (startUrl: string): string => {
  const url = URL.parse(startUrl);
  const owned =
    url !== null && (hosts.includes(url.hostname) || suffixes.some((suffix) => url.hostname.endsWith(suffix)));
  if (
    url === null ||
    !owned ||
    url.protocol !== 'https:' ||
    url.username !== '' ||
    url.password !== '' ||
    url.port !== ''
  ) {
    throw new Refusal('invalid_input', {
      path: 'startUrl',
      message: 'is not an Identity Center address like https://example.awsapps.com/start',
    });
  }
  return url.hostname;
};

/** @throws Refusal `invalid_input` for what is no region name: it becomes part of host names. */
export const checkedRegion = (region: string): string => {
  if (!/^[a-z]{2}(-[a-z]+){1,3}-\d$/.test(region)) {
    throw new Refusal('invalid_input', { path: 'ssoRegion', message: 'is not a region like eu-central-1' });
  }
  return region;
};

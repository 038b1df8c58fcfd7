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
/** Identity Center's own page for codes. Not all of `amazonaws.com`: anybody may have a bucket there. */
const devicePage = /^device\.sso\.[a-z]{2}(-[a-z]+){1,3}-\d\.amazonaws\.(com|com\.cn|eu)$/;
const hosts = [
  'identitycenter.amazonaws.com',
  'identitycenter.amazonaws.com.cn',
  'identitycenter.amazonaws.eu',
  'identitycenter.us-gov.amazonaws.com',
];

const isOwned = (url: URL): boolean =>
  (hosts.includes(url.hostname) || suffixes.some((suffix) => url.hostname.endsWith(suffix))) && isPlainHttps(url);
const isPlainHttps = (url: URL): boolean =>
  url.protocol === 'https:' && url.username === '' && url.password === '' && url.port === '';

/**
 * @returns the URL's host, to be shown. @throws Refusal `invalid_input` unless the address is https, without user information
 * or port, on a host that AWS owns.
 */
export const startUrlHost = (startUrl: string): string => {
  const url = URL.parse(startUrl);
  if (url === null || !isOwned(url)) {
    throw new Refusal('invalid_input', {
      path: 'startUrl',
      message: 'is not an Identity Center address like https://example.awsapps.com/start',
    });
  }
  return url.hostname;
};

/**
 * The page on which a person confirms a code, as Identity Center names it (threats APP-03, APP-04).
 * @param answeredBy scheme, host and port of the endpoint that named it: where endpoints are overridden, its own page is there too.
 * @throws Refusal `proof_refused` for a page that is neither AWS's nor its own.
 */
export const checkedDevicePage = (page: string, answeredBy: string): string => {
  const url = URL.parse(page);
  const fits =
    url !== null &&
    (url.origin === answeredBy || isOwned(url) || (devicePage.test(url.hostname) && isPlainHttps(url))) &&
    url.username === '';
  if (!fits) {
    throw new Refusal('proof_refused', {
      message: 'The page to confirm the code on is not one of AWS’s, so it was not opened.',
    });
  }
  return url.href;
};

/** @throws Refusal `invalid_input` for what is no region name: it becomes part of host names. */
export const checkedRegion = (region: string): string => {
  if (!/^[a-z]{2}(-[a-z]+){1,3}-\d$/.test(region)) {
    throw new Refusal('invalid_input', { path: 'ssoRegion', message: 'is not a region like eu-central-1' });
  }
  return region;
};

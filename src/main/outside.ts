/** What may leave the app for the system browser, and which organisation may be set. */
import type { Organisation } from '../shared/desktop.ts';
import { serverIdOf } from '../shared/identity-proof.ts';
import { Refusal } from '../shared/refusal.ts';
import { checkedRegion, startUrlHost } from './start-url.ts';

const loopbackHosts = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** https, or http to this computer while AWS endpoints are overridden; never with user information (threats APP-04, APP-10). */
export const mayOpenOutside = (text: string, notAws: readonly string[]): boolean => {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return false;
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && notAws.length > 0 && loopbackHosts.has(url.hostname);
};

/** @throws Refusal `invalid_input` naming the part of an organisation that Curfew will not talk to. */
export const checkOrganisation = (organisation: Organisation): void => {
  const origin = serverIdOf(organisation.backendUrl);
  const url = URL.parse(origin);
  if (url === null) {
    throw new Refusal('invalid_input', {
      path: 'backendUrl',
      message: 'is not an address like https://curfew.example.com',
    });
  }
  if (url.protocol !== 'https:' && !loopbackHosts.has(url.hostname)) {
    throw new Refusal('invalid_input', { path: 'backendUrl', message: 'is not an https address' });
  }
  if (organisation.startUrl === '' && organisation.ssoRegion === '') return;
  startUrlHost(organisation.startUrl);
  checkedRegion(organisation.ssoRegion);
};

/** `curfew://` links only go somewhere: to a request or a grant, by id (threats APP-06). */
import type { Place } from '../shared/desktop.ts';

const link = /^curfew:\/\/(request|grant)\/((?:req|grt)_[a-z2-7]{26})\/?$/;

/** Where a command line (of a second instance, or of an `open-url` event) wants to go; null when it has no whole, well-formed link. */
export const placeOfLink = (argv: readonly string[]): { place: Place; id: string } | null => {
  for (const argument of argv) {
    const [, kind, id = ''] = link.exec(argument) ?? [];
    if (kind === 'request' && id.startsWith('req_')) return { place: 'approvals', id };
    if (kind === 'grant' && id.startsWith('grt_')) return { place: 'access', id };
  }
  return null;
};

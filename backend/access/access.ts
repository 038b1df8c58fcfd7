/**
 * Who may have access to what, and until when: the verbs of Curfew over the store. It records decisions and wishes and never
 * touches AWS (design 5): the reconciler makes AWS match. Each verb gathers what it needs, checks it, and changes the store in
 * one transaction together with its audit rows; what it refuses it throws as a `Refusal`.
 */
import type { AccessRequest, Connection, Grant, Person, RequestDraft } from '../../src/shared/access.ts';
import type { DecideInput, ExtendOutcome, Preview, RequestCard } from '../../src/shared/views.ts';
import type { Reader } from '../store/visibility.ts';
import { card } from './card.ts';
import { connect } from './connect.ts';
import { decide } from './decide.ts';
import type { AccessDeps } from './deps.ts';
import { end, endAllOfPerson } from './end.ts';
import { type ExtendInput, extend } from './extend.ts';
import { closeLeavers } from './leavers.ts';
import { preview } from './preview.ts';
import { submit } from './submit.ts';
import { claim, lapseDue, withdraw } from './waiting.ts';

export type Access = {
  /** What the rules say to a draft, before it is sent. */
  preview: (caller: Person, draft: RequestDraft) => Promise<Preview>;
  submit: (caller: Person, draft: RequestDraft) => Promise<AccessRequest>;
  withdraw: (caller: Reader, requestId: string) => Promise<AccessRequest>;
  claim: (caller: Reader, requestId: string) => Promise<AccessRequest>;
  card: (caller: Reader, requestId: string) => Promise<RequestCard>;
  decide: (caller: Reader, input: DecideInput) => Promise<AccessRequest>;
  connect: (caller: Reader, grantId: string) => Promise<{ grant: Grant; connection: Connection }>;
  extend: (caller: Reader, input: ExtendInput) => Promise<ExtendOutcome>;
  end: (caller: Reader, input: { grantId: string; comment: string | null }) => Promise<Grant>;
  /** Ends all that a person has, at sign-out. Returns the grants' ids. */
  endAllOfPerson: (person: Person) => Promise<string[]>;
  /** Lapses requests whose time is over; call it every few seconds. Returns how many. */
  lapseDue: () => Promise<number>;
  /** Closes what people still have whom the identity store disabled or forgot; call it every minute. Returns how many people. */
  closeLeavers: () => Promise<number>;
};

/** Binds the verbs to what they need. */
export const createAccess = (deps: AccessDeps): Access => ({
  preview: (caller, draft) => preview(deps, caller, draft),
  submit: (caller, draft) => submit(deps, caller, draft),
  withdraw: (caller, requestId) => withdraw(deps, caller, requestId),
  claim: (caller, requestId) => claim(deps, caller, requestId),
  card: (caller, requestId) => card(deps, caller, requestId),
  decide: (caller, input) => decide(deps, caller, input),
  connect: (caller, grantId) => connect(deps, caller, grantId),
  extend: (caller, input) => extend(deps, caller, input),
  end: (caller, input) => end(deps, caller, input),
  endAllOfPerson: (person) => endAllOfPerson(deps, person),
  lapseDue: () => lapseDue(deps),
  closeLeavers: () => closeLeavers(deps),
});

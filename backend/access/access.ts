/**
 * Who may have access to what, and until when: the verbs of Curfew over the store. It records decisions and wishes and never
 * touches AWS (design 5): the reconciler makes AWS match. Each verb gathers what it needs, checks it, and changes the store in
 * one transaction together with its audit rows; what it refuses it throws as a `Refusal`.
 */
import type { AccessRequest, Connection, Grant, Person, RequestDraft } from '../../src/shared/access.ts';
import type { EndedAll, KillSwitch, PullInput, Stays, SwitchScope } from '../../src/shared/kill-switch.ts';
import type { DecideInput, EndFoundInput, ExtendOutcome, Preview, RequestCard } from '../../src/shared/views.ts';
import type { Reader } from '../store/visibility.ts';
import { card } from './card.ts';
import { connect } from './connect.ts';
import { decide } from './decide.ts';
import type { AccessDeps } from './deps.ts';
import { end, endAllOfPerson } from './end.ts';
import { createRevocable, type EndAllInput, endAllOn, whatStays } from './end-all.ts';
import { type ExtendInput, extend } from './extend.ts';
import { endFound } from './found-session.ts';
import { enforceSwitches, lift, pull } from './kill-switch.ts';
import { closeLeavers } from './leavers.ts';
import { preview } from './preview.ts';
import { submit } from './submit.ts';
import { type NamedReach, reachFor } from './switch-scope.ts';
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
  end: (caller: Reader, input: { grantId: string; comment: string | null }) => Promise<Grant & { stays: Stays }>;
  /** What ending a grant would leave reachable. */
  whatStays: (caller: Reader, grantId: string) => Promise<Stays>;
  endAllOn: (caller: Reader, input: EndAllInput) => Promise<EndedAll>;
  /** Ids of live grants of others that the caller may end. */
  revocable: (caller: Reader) => Promise<string[]>;
  pull: (caller: Reader, input: PullInput) => Promise<KillSwitch>;
  /** `provedAt`: when the caller last proved who they are. */
  lift: (caller: Reader, input: { switchId: string; provedAt: Date }) => Promise<KillSwitch>;
  /** Has a session ended that a finding is about. */
  endFound: (caller: Reader, input: EndFoundInput) => Promise<void>;
  /** How far a switch of the caller's would reach. */
  reachFor: (caller: Reader, scope: SwitchScope) => Promise<NamedReach>;
  /** Ends all that a person has, at sign-out. Returns the grants' ids. */
  endAllOfPerson: (person: Person) => Promise<string[]>;
  /** Lapses requests whose time is over; call it every few seconds. Returns how many. */
  lapseDue: () => Promise<number>;
  /** Goes on with what kill switches that are on have not ended yet; call it every second. Returns how many grants and requests. */
  enforceSwitches: () => Promise<number>;
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
  whatStays: (caller, grantId) => whatStays(deps, caller, grantId),
  endAllOn: (caller, input) => endAllOn(deps, caller, input),
  revocable: createRevocable(deps),
  pull: (caller, input) => pull(deps, caller, input),
  lift: (caller, input) => lift(deps, caller, input),
  endFound: (caller, input) => endFound(deps, caller, input),
  reachFor: (caller, scope) => reachFor(deps, caller, scope),
  enforceSwitches: () => enforceSwitches(deps),
  lapseDue: () => lapseDue(deps),
  closeLeavers: () => closeLeavers(deps),
});

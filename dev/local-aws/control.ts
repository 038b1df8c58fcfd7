/**
 * The hand that moves the made-up world: people leave, instances change, calls fail. The same methods are there in this process
 * (tests) and over HTTP as `POST /_control/<method>` with a JSON body (the command line, other processes).
 */
import { z } from 'zod';
import { instanceId } from '../../src/shared/access.ts';
import { type CredentialStore, uniqueId } from './authorization/credential-store.ts';
import {
  type CallRecord,
  type FaultRule,
  type FaultSettings,
  type Faults,
  faultRule,
  faultSettings,
} from './faults.ts';
import { holderArn, holderKey, type IamGroup, type IamState, type IamUser } from './iam/state.ts';
import { moveGroup, moveUser } from './iam/users.ts';
import { isMeantForUs } from './local-request.ts';
import { AwsError, type AwsRequest, type AwsResponse, type UnsignedRoute } from './service.ts';
import { noFaults } from './session-host/faulty-link.ts';
import type { SessionHost } from './session-host/host-types.ts';
import { type createLifetimes, lifetimes, type SignInState } from './sign-in/sign-in-state.ts';
import { addHollowSessions, hollowSessions } from './ssm/hollow-sessions.ts';
import type { SessionRecord, SessionStatus, SessionTable } from './ssm/session-table.ts';
import {
  type World,
  type WorldInstance,
  type WorldPerson,
  type WorldSessionDocument,
  worldInstance,
  worldPerson,
} from './world.ts';

const personChange = z.strictObject({
  userName: z.string(),
  enabled: z.boolean().optional(),
  /** Names of Identity Center groups; they replace the ones there are. */
  groups: z.array(z.string()).optional(),
  /** Renames the person; the UserId stays. */
  newUserName: z.string().min(1).max(128).optional(),
});
const instanceChange = z.strictObject({
  id: instanceId,
  online: z.boolean().optional(),
  /** Tags to set; null takes one away. The others stay. */
  tags: z.record(z.string(), z.string().nullable()).optional(),
  name: z.string().min(1).max(256).optional(),
});
const newInstance = worldInstance.omit({ shell: true });
const instancePick = z.strictObject({ id: instanceId });
const documentChange = z.strictObject({
  account: z.string(),
  name: z.string(),
  maxSessionMinutes: z.int().min(1).max(1440).optional(),
  runAsUser: z.string().min(1).max(256).nullable().optional(),
});
const callFilter = z.strictObject({ service: z.string().optional(), operation: z.string().optional() });
const share = z.number().min(0).max(1).default(0);
const linkFaults = z.strictObject({
  latencyMs: z.int().min(0).max(60_000).default(0),
  corruptShare: share,
  loseShare: share,
  duplicateShare: share,
  reorderShare: share,
});
const sessionPick = z.strictObject({ sessionId: z.string().optional() });
const rolePick = z.strictObject({ account: z.string(), name: z.string() });
const userPick = z.strictObject({ account: z.string(), name: z.string() });
const userChange = z.strictObject({
  account: z.string(),
  name: z.string(),
  /** Names of IAM groups; they replace the ones there are. */
  groups: z.array(z.string()).optional(),
  /** Renamed, as by UpdateUser: what it has goes along. */
  newName: z.string().min(1).max(64).optional(),
  /** On another path, by UpdateUser too. */
  newPath: z.string().startsWith('/').endsWith('/').optional(),
  /** Deleted, and a new one made under the same name: it has another UserId, and none of the old one's policies. */
  madeAnew: z.boolean().default(false),
});
const groupChange = z.strictObject({
  account: z.string(),
  name: z.string(),
  /** Renamed, as by UpdateGroup: policies and members go along. */
  newName: z.string().min(1).max(128),
});
const settingsChange = faultSettings.partial();
const lifetimesChange = lifetimes.partial();

/** A role as IAM's control plane has it now, whether or not it has spread. */
type RoleDump = {
  arn: string;
  roleId: string;
  trust: unknown;
  boundary: string | null;
  tags: Record<string, string>;
  inlinePolicies: Record<string, unknown>;
  attachedPolicyArns: string[];
};
/** An IAM user or group as the control plane has it. */
type HolderDump = { arn: string; id: string; inlinePolicies: Record<string, unknown>; attachedPolicyArns: string[] };
type SessionDump = SessionRecord & { status: SessionStatus };

export type Control = {
  /** The last 2,000 calls, oldest first; filtered when asked. */
  calls(filter?: z.input<typeof callFilter>): CallRecord[];
  forgetCalls(): void;
  /** Every session of this run, newest first. */
  sessions(): SessionDump[];
  /** Sessions without a shell behind them. @returns their ids. @throws AwsError NotFound. */
  addHollowSessions(crowd: z.input<typeof hollowSessions>): string[];
  /** Cuts the connection of one session, or of all. The sessions live on and can be resumed. */
  drop(which?: z.input<typeof sessionPick>): void;
  /** @throws AwsError NotFound when there is no such role. */
  role(which: z.input<typeof rolePick>): RoleDump;
  /** Names of all roles of an account. */
  roles(which: { account: string }): string[];
  /** @throws AwsError NotFound when there is no such IAM user. */
  user(which: z.input<typeof userPick>): HolderDump & { groups: string[] };
  /** @throws AwsError NotFound when there is no such IAM group. */
  group(which: z.input<typeof userPick>): HolderDump;
  /** What an IAM admin does to a user; seen at once. */
  changeUser(change: z.input<typeof userChange>): void;
  /** What an IAM admin does to a group; seen at once. @throws AwsError NotFound. */
  changeGroup(change: z.input<typeof groupChange>): void;
  faults(): { settings: FaultSettings; rules: FaultRule[]; lifetimes: z.infer<typeof lifetimes> };
  addFault(rule: z.input<typeof faultRule>): void;
  /** Takes every fault of `addFault` away; settings, lifetimes and the link stay. */
  clearFaults(): void;
  changeSettings(change: z.input<typeof settingsChange>): void;
  changeLifetimes(change: z.input<typeof lifetimesChange>): void;
  /** Faults of the data channel's frames; what is left out is switched off. */
  changeLink(faults: z.input<typeof linkFaults>): void;
  changePerson(change: z.input<typeof personChange>): WorldPerson;
  changeInstance(change: z.input<typeof instanceChange>): WorldInstance;
  /** A new hire, or somebody who gets a name that was another's before. @throws AwsError Conflict, NotFound. */
  addPerson(person: z.input<typeof worldPerson>): WorldPerson;
  /** A new instance, without a program of its own: that only a world file may name. @throws AwsError Conflict, NotFound. */
  addInstance(instance: z.input<typeof newInstance>): WorldInstance;
  /** The instance is gone, as after its termination. */
  removeInstance(which: z.input<typeof instancePick>): void;
  /** Changes a session document behind everybody's back, as somebody with SSM rights could. */
  changeDocument(change: z.input<typeof documentChange>): WorldSessionDocument;
  /** Ends everybody's portal session with its tokens, as an Identity Center admin can. Shells and role credentials live on. */
  endSignIns(): void;
  /** People, groups, accounts and instances as they are now; no keys. */
  world(): Pick<World, 'organisation' | 'people' | 'groups' | 'instances'> & {
    accounts: Array<{ id: string; name: string }>;
  };
  /** Takes every fault away and ends all sessions and sign-ins. IAM and the changed world stay. */
  reset(): void;
};

const conflict = (what: string): AwsError => new AwsError('Conflict', `There is a ${what} already.`, 409);
const notFound = (what: string): AwsError => new AwsError('NotFound', `There is no ${what}.`, 404);

const parsedPolicies = (inline: Record<string, string>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(inline).map(([policy, text]): [string, unknown] => [policy, JSON.parse(text)]));

const holderDump = (one: IamUser | IamGroup): HolderDump => ({
  arn: holderArn(one),
  id: one.id,
  inlinePolicies: parsedPolicies(one.inline),
  attachedPolicyArns: one.attached,
});

/** Everything is changed in place, so that the services see it at their next look. */
export const createControl = (parts: {
  world: World;
  faults: Faults;
  iam: IamState;
  credentials: CredentialStore;
  host: SessionHost;
  sessions: SessionTable;
  signIn: SignInState;
  lifetimes: ReturnType<typeof createLifetimes>;
  now: () => Date;
}): Control => {
  const { world, faults, iam, host, sessions, signIn } = parts;
  const checkGroups = (groups: string[]): void => {
    const unknown = groups.find((group) => !world.groups.some((one) => one.name === group));
    if (unknown !== undefined) throw notFound(`group ${unknown}`);
  };
  const endSignIns = (): void => {
    for (const id of [...signIn.portalSessions.keys()]) signIn.endPortalSession(id);
  };
  const checkNameIsFree = (userName: string): void => {
    if (world.people.some((one) => one.userName === userName)) throw conflict(`person ${userName}`);
  };

  const userOf = ({ account, name }: z.infer<typeof userPick>): IamUser => {
    const user = iam.user(account, name);
    if (!user) throw notFound(`IAM user ${name} in ${account}`);
    return user;
  };
  const groupOf = ({ account, name }: z.infer<typeof userPick>): IamGroup => {
    const group = iam.groups.get(holderKey(account, name));
    if (!group) throw notFound(`IAM group ${name} in ${account}`);
    return group;
  };

  return {
    calls(filter = {}) {
      const { service, operation } = callFilter.parse(filter);
      return faults
        .calls()
        .filter(
          (call) => (service ?? call.service) === call.service && (operation ?? call.operation) === call.operation,
        );
    },
    forgetCalls: () => faults.forgetCalls(),
    sessions: () => sessions.list().map((session) => ({ ...session, status: sessions.statusOf(session) })),
    addHollowSessions: (crowd) => addHollowSessions(parts, crowd),
    drop(which = {}) {
      const { sessionId } = sessionPick.parse(which);
      if (sessionId === undefined) host.dropConnections();
      else host.dropConnections(sessionId);
    },
    role(which) {
      const { account, name } = rolePick.parse(which);
      const role = iam.role(account, name);
      if (!role) throw notFound(`role ${name} in ${account}`);
      return {
        arn: `arn:aws:iam::${account}:role${role.path}${role.name}`,
        roleId: role.id,
        trust: JSON.parse(role.trust),
        boundary: role.boundary ?? null,
        tags: role.tags,
        inlinePolicies: parsedPolicies(role.inline),
        attachedPolicyArns: role.attached,
      };
    },
    roles: ({ account }) =>
      iam.roles
        .all()
        .filter((role) => role.accountId === account)
        .map((role) => `${role.path}${role.name}`),
    user(which) {
      const user = userOf(userPick.parse(which));
      return { ...holderDump(user), groups: user.groups };
    },
    group(which) {
      return holderDump(groupOf(userPick.parse(which)));
    },
    changeUser(change) {
      const { groups, madeAnew, newName, newPath, ...which } = userChange.parse(change);
      const user = userOf(which);
      const unknown = groups?.find((group) => !iam.groups.get(holderKey(which.account, group)));
      if (unknown !== undefined) throw notFound(`IAM group ${unknown} in ${which.account}`);
      const anew = madeAnew ? { id: uniqueId('AIDA', 17), inline: {}, attached: [] } : {};
      const changed = { ...user, ...anew, groups: groups ?? (madeAnew ? [] : user.groups) };
      const place = { name: newName ?? changed.name, path: newPath ?? changed.path };
      moveUser({ state: iam, credentials: parts.credentials }, changed, place);
    },
    changeGroup(change) {
      const { account, name, newName } = groupChange.parse(change);
      moveGroup(iam, groupOf({ account, name }), newName);
    },
    faults: () => ({ settings: faults.settings(), rules: faults.rules(), lifetimes: parts.lifetimes.get() }),
    addFault: (rule) => faults.add(faultRule.parse(rule)),
    clearFaults: () => faults.clear(),
    changeSettings: (change) => faults.change(settingsChange.parse(change)),
    changeLifetimes: (change) => parts.lifetimes.change(lifetimesChange.parse(change)),
    changeLink: (change) => host.setFaults(linkFaults.parse(change)),
    changePerson(change) {
      const { userName, enabled, groups, newUserName } = personChange.parse(change);
      const person = world.people.find((one) => one.userName === userName);
      if (!person) throw notFound(`person ${userName}`);
      checkGroups(groups ?? []);
      if (newUserName !== undefined) checkNameIsFree(newUserName);
      person.enabled = enabled ?? person.enabled;
      person.groups = groups ?? person.groups;
      person.userName = newUserName ?? person.userName;
      return person;
    },
    changeInstance(change) {
      const { id, online, tags, name } = instanceChange.parse(change);
      const instance = world.instances.find((one) => one.id === id);
      if (!instance) throw notFound(`instance ${id}`);
      instance.online = online ?? instance.online;
      instance.name = name ?? instance.name;
      for (const [key, value] of Object.entries(tags ?? {})) {
        if (value === null) delete instance.tags[key];
        else instance.tags[key] = value;
      }
      return instance;
    },
    addPerson(input) {
      const person = worldPerson.parse(input);
      checkNameIsFree(person.userName);
      checkGroups(person.groups);
      if (world.people.some((one) => one.id === person.id)) throw conflict(`person with the id ${person.id}`);
      world.people.push(person);
      return person;
    },
    addInstance(input) {
      const instance = newInstance.parse(input);
      if (world.instances.some((one) => one.id === instance.id)) throw conflict(`instance ${instance.id}`);
      if (!world.accounts.some((one) => one.id === instance.account)) throw notFound(`account ${instance.account}`);
      world.instances.push(instance);
      return instance;
    },
    removeInstance(which) {
      const { id } = instancePick.parse(which);
      const at = world.instances.findIndex((one) => one.id === id);
      if (at === -1) throw notFound(`instance ${id}`);
      world.instances.splice(at, 1);
    },
    changeDocument(change) {
      const { account, name, maxSessionMinutes, runAsUser } = documentChange.parse(change);
      const document = world.accounts
        .find((one) => one.id === account)
        ?.sessionDocuments.find((one) => one.name === name);
      if (!document) throw notFound(`session document ${name} in ${account}`);
      document.maxSessionMinutes = maxSessionMinutes ?? document.maxSessionMinutes;
      if (runAsUser !== undefined) document.runAsUser = runAsUser;
      return document;
    },
    endSignIns,
    world: () => ({
      organisation: world.organisation,
      people: world.people,
      groups: world.groups,
      accounts: world.accounts.map(({ id, name }) => ({ id, name })),
      instances: world.instances,
    }),
    reset() {
      faults.reset();
      parts.lifetimes.reset();
      host.setFaults(noFaults);
      for (const session of sessions.list()) host.terminate(session.sessionId, 'local-aws was reset');
      endSignIns();
    },
  };
};

const json = (status: number, body: unknown): AwsResponse => ({
  status,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  body: JSON.stringify(body ?? {}),
});

const prefix = '/_control';

/** The methods over HTTP: name to what it takes. */
const methodsOf = (control: Control): Record<string, (input: unknown) => unknown> => ({
  calls: (input) => control.calls(callFilter.parse(input)),
  forgetCalls: () => control.forgetCalls(),
  sessions: () => control.sessions(),
  addHollowSessions: (input) => control.addHollowSessions(hollowSessions.parse(input)),
  drop: (input) => control.drop(sessionPick.parse(input)),
  role: (input) => control.role(rolePick.parse(input)),
  roles: (input) => control.roles(z.strictObject({ account: z.string() }).parse(input)),
  user: (input) => control.user(userPick.parse(input)),
  group: (input) => control.group(userPick.parse(input)),
  changeUser: (input) => control.changeUser(userChange.parse(input)),
  changeGroup: (input) => control.changeGroup(groupChange.parse(input)),
  faults: () => control.faults(),
  addFault: (input) => control.addFault(faultRule.parse(input)),
  clearFaults: () => control.clearFaults(),
  changeSettings: (input) => control.changeSettings(settingsChange.parse(input)),
  changeLifetimes: (input) => control.changeLifetimes(lifetimesChange.parse(input)),
  changeLink: (input) => control.changeLink(linkFaults.parse(input)),
  changePerson: (input) => control.changePerson(personChange.parse(input)),
  changeInstance: (input) => control.changeInstance(instanceChange.parse(input)),
  addPerson: (input) => control.addPerson(worldPerson.parse(input)),
  addInstance: (input) => control.addInstance(newInstance.parse(input)),
  removeInstance: (input) => control.removeInstance(instancePick.parse(input)),
  changeDocument: (input) => control.changeDocument(documentChange.parse(input)),
  endSignIns: () => control.endSignIns(),
  world: () => control.world(),
  reset: () => control.reset(),
});

/** `GET /_control` and `/_control/health` say what this is; everything else is `POST /_control/<method>` with JSON. */
export const controlRoute = (control: Control, organisation: string): UnsignedRoute => {
  const methods = methodsOf(control);
  const run = (request: AwsRequest): AwsResponse => {
    const name = request.path.slice(prefix.length + 1);
    if (request.method === 'GET' && (name === '' || name === 'health')) {
      return json(200, { what: 'local-aws', organisation, methods: Object.keys(methods) });
    }
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (!method || request.method !== 'POST')
      return json(404, { message: `There is no ${request.method} ${request.path}.` });
    if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
      return json(415, { message: 'The body must be application/json.' });
    }
    return json(200, method(request.body.length === 0 ? {} : JSON.parse(request.body.toString('utf8'))));
  };
  return {
    match: ({ path }) => path === prefix || path.startsWith(`${prefix}/`),
    async handle(request) {
      // No page has business here, not even one of ours.
      if (request.headers['origin'] !== undefined || !isMeantForUs(request)) {
        return json(403, { message: 'Only for programs on this machine.' });
      }
      try {
        return run(request);
      } catch (error) {
        if (error instanceof AwsError) return json(error.status, { message: error.message });
        if (error instanceof z.ZodError) return json(400, { message: z.prettifyError(error) });
        if (error instanceof SyntaxError) return json(400, { message: 'The body is not JSON.' });
        throw error;
      }
    },
  };
};

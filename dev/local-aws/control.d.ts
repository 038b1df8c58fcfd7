/**
 * The hand that moves the made-up world: people leave, instances change, calls fail. The same methods are there in this process
 * (tests) and over HTTP as `POST /_control/<method>` with a JSON body (the command line, other processes).
 */
import { z } from 'zod';
import { type CallRecord, type FaultRule, type FaultSettings, type Faults, faultRule } from './faults.ts';
import { type IamState } from './iam/state.ts';
import { type UnsignedRoute } from './service.ts';
import type { SessionHost } from './session-host/host-types.ts';
import { type createLifetimes, lifetimes, type SignInState } from './sign-in/sign-in-state.ts';
import type { SessionRecord, SessionStatus, SessionTable } from './ssm/session-table.ts';
import { type World, type WorldInstance, type WorldPerson, type WorldSessionDocument, worldPerson } from './world.ts';
declare const personChange: z.ZodObject<{
    userName: z.ZodString;
    enabled: z.ZodOptional<z.ZodBoolean>;
    groups: z.ZodOptional<z.ZodArray<z.ZodString>>;
    newUserName: z.ZodOptional<z.ZodString>;
}, z.core.$strict>;
declare const instanceChange: z.ZodObject<{
    id: z.ZodString;
    online: z.ZodOptional<z.ZodBoolean>;
    tags: z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodNullable<z.ZodString>>>;
    name: z.ZodOptional<z.ZodString>;
}, z.core.$strict>;
declare const newInstance: z.ZodObject<{
    region: z.ZodString;
    id: z.ZodString;
    name: z.ZodString;
    platform: z.ZodDefault<z.ZodEnum<{
        Linux: "Linux";
        Windows: "Windows";
        MacOS: "MacOS";
    }>>;
    tags: z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodString>>;
    online: z.ZodDefault<z.ZodBoolean>;
    account: z.ZodString;
    platformName: z.ZodDefault<z.ZodString>;
    platformVersion: z.ZodDefault<z.ZodString>;
    ipAddress: z.ZodIPv4;
    agentVersion: z.ZodDefault<z.ZodString>;
}, z.core.$strict>;
declare const instancePick: z.ZodObject<{
    id: z.ZodString;
}, z.core.$strict>;
declare const documentChange: z.ZodObject<{
    account: z.ZodString;
    name: z.ZodString;
    maxSessionMinutes: z.ZodOptional<z.ZodInt>;
    runAsUser: z.ZodOptional<z.ZodNullable<z.ZodString>>;
}, z.core.$strict>;
declare const callFilter: z.ZodObject<{
    service: z.ZodOptional<z.ZodString>;
    operation: z.ZodOptional<z.ZodString>;
}, z.core.$strict>;
declare const linkFaults: z.ZodObject<{
    latencyMs: z.ZodDefault<z.ZodInt>;
    corruptShare: z.ZodDefault<z.ZodNumber>;
    loseShare: z.ZodDefault<z.ZodNumber>;
    duplicateShare: z.ZodDefault<z.ZodNumber>;
    reorderShare: z.ZodDefault<z.ZodNumber>;
}, z.core.$strict>;
declare const sessionPick: z.ZodObject<{
    sessionId: z.ZodOptional<z.ZodString>;
}, z.core.$strict>;
declare const rolePick: z.ZodObject<{
    account: z.ZodString;
    name: z.ZodString;
}, z.core.$strict>;
declare const userPick: z.ZodObject<{
    account: z.ZodString;
    name: z.ZodString;
}, z.core.$strict>;
declare const userChange: z.ZodObject<{
    account: z.ZodString;
    name: z.ZodString;
    groups: z.ZodOptional<z.ZodArray<z.ZodString>>;
    madeAnew: z.ZodDefault<z.ZodBoolean>;
}, z.core.$strict>;
declare const settingsChange: z.ZodObject<{
    spreadingDelayMs: z.ZodOptional<z.ZodInt>;
    rateLimits: z.ZodOptional<z.ZodBoolean>;
}, z.core.$strict>;
declare const lifetimesChange: z.ZodObject<{
    clientSeconds: z.ZodOptional<z.ZodInt>;
    accessTokenSeconds: z.ZodOptional<z.ZodInt>;
    portalSessionSeconds: z.ZodOptional<z.ZodInt>;
    codeSeconds: z.ZodOptional<z.ZodInt>;
    deviceCodeSeconds: z.ZodOptional<z.ZodInt>;
    devicePollSeconds: z.ZodOptional<z.ZodInt>;
}, z.core.$strict>;
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
type HolderDump = {
    arn: string;
    id: string;
    inlinePolicies: Record<string, unknown>;
    attachedPolicyArns: string[];
};
type SessionDump = SessionRecord & {
    status: SessionStatus;
};
export type Control = {
    /** The last 2,000 calls, oldest first; filtered when asked. */
    calls(filter?: z.input<typeof callFilter>): CallRecord[];
    forgetCalls(): void;
    /** Every session of this run, newest first. */
    sessions(): SessionDump[];
    /** Cuts the connection of one session, or of all. The sessions live on and can be resumed. */
    drop(which?: z.input<typeof sessionPick>): void;
    /** @throws AwsError NotFound when there is no such role. */
    role(which: z.input<typeof rolePick>): RoleDump;
    /** Names of all roles of an account. */
    roles(which: {
        account: string;
    }): string[];
    /** @throws AwsError NotFound when there is no such IAM user. */
    user(which: z.input<typeof userPick>): HolderDump & {
        groups: string[];
    };
    /** @throws AwsError NotFound when there is no such IAM group. */
    group(which: z.input<typeof userPick>): HolderDump;
    /** What an IAM admin does to a user; seen at once. */
    changeUser(change: z.input<typeof userChange>): void;
    faults(): {
        settings: FaultSettings;
        rules: FaultRule[];
        lifetimes: z.infer<typeof lifetimes>;
    };
    addFault(rule: z.input<typeof faultRule>): void;
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
    /** People, groups, accounts and instances as they are now; no keys. */
    world(): Pick<World, 'organisation' | 'people' | 'groups' | 'instances'> & {
        accounts: Array<{
            id: string;
            name: string;
        }>;
    };
    /** Takes every fault away and ends all sessions and sign-ins. IAM and the changed world stay. */
    reset(): void;
};
/** Everything is changed in place, so that the services see it at their next look. */
export declare const createControl: (parts: {
    world: World;
    faults: Faults;
    iam: IamState;
    host: SessionHost;
    sessions: SessionTable;
    signIn: SignInState;
    lifetimes: ReturnType<typeof createLifetimes>;
}) => Control;
/** `GET /_control` and `/_control/health` say what this is; everything else is `POST /_control/<method>` with JSON. */
export declare const controlRoute: (control: Control, organisation: string) => UnsignedRoute;
export {};

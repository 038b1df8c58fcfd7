/** Finds the entity an operation is about and asks whether the caller may: what every IAM operation begins with. */
import { type Authorise, AwsError, type Caller, type QueryService } from '../service.ts';
import { holderArn, holderKey, type IamState, type ManagedPolicy, type PolicyHolder } from './state.ts';

export type IamDeps = { state: IamState; authorise: Authorise; now: () => Date };
export type Operation = QueryService['operations'][string];
export type HolderKind = PolicyHolder['kind'];

export const noSuchEntity = (message: string): AwsError => new AwsError('NoSuchEntity', message, 404);
export const limitExceeded = (message: string): AwsError => new AwsError('LimitExceeded', message, 409);
export const alreadyExists = (message: string): AwsError => new AwsError('EntityAlreadyExists', message, 409);
export const deleteConflict = (message: string): AwsError => new AwsError('DeleteConflict', message, 409);

const tagKeys = (prefix: string, tags: Record<string, string>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [`${prefix}/${key}`, [value]]));

/** Condition keys of tags that a call brings along. */
export const requestTagKeys = (tags: Record<string, string>): Record<string, string[]> =>
  Object.keys(tags).length === 0 ? {} : { ...tagKeys('aws:RequestTag', tags), 'aws:TagKeys': Object.keys(tags) };

/** Condition keys of a role, user or group that is acted on. Groups have no boundary and no tags (aws-facts 3.4). */
const holderKeys = (one: PolicyHolder): Record<string, string[]> => ({
  ...tagKeys('aws:ResourceTag', one.tags),
  ...tagKeys('iam:ResourceTag', one.tags),
  ...(one.kind !== 'group' && one.boundary !== undefined ? { 'iam:PermissionsBoundary': [one.boundary] } : {}),
});

const holderOf = (state: IamState, kind: HolderKind, key: string): PolicyHolder | undefined => {
  if (kind === 'role') return state.roles.get(key);
  return kind === 'user' ? state.users.get(key) : state.groups.get(key);
};

/**
 * The named holder of the caller's account, after asking for `action` on it.
 * What does not exist has no path: IAM then asks about the bare name and calls it "role NAME" in a denial, so a caller
 * whose rights name a path gets AccessDenied and not NoSuchEntity.
 */
export const findHolder = (
  deps: IamDeps,
  caller: Caller,
  target: { kind: HolderKind; name: string; action: string },
  contextKeys: Record<string, string[]> = {},
): PolicyHolder => {
  const { kind, name, action } = target;
  const found = holderOf(deps.state, kind, holderKey(caller.accountId, name));
  if (!found) {
    const arn = `arn:aws:iam::${caller.accountId}:${kind}/${name}`;
    deps.authorise(caller, { action, resources: [{ arn, contextKeys, shownAs: `${kind} ${name}` }] });
    throw noSuchEntity(`The ${kind} with name ${name} cannot be found.`);
  }
  deps.authorise(caller, {
    action,
    resources: [{ arn: holderArn(found), contextKeys: { ...holderKeys(found), ...contextKeys } }],
  });
  return found;
};

/** Writes a changed holder; it spreads as every write does. */
export const saveHolder = (state: IamState, one: PolicyHolder): void => {
  const key = holderKey(one.accountId, one.name);
  if (one.kind === 'role') state.roles.put(key, one);
  else if (one.kind === 'user') state.users.put(key, one);
  else state.groups.put(key, one);
};

/** Roles of Identity Center belong to AWS (aws-facts 3.0). */
export const refuseProtected = (one: PolicyHolder): void => {
  if (one.kind === 'role' && one.path.startsWith('/aws-reserved/')) {
    const message = `Cannot perform the operation on the protected role '${one.name}' - this role is only modifiable by AWS`;
    throw new AwsError('UnmodifiableEntity', message, 400);
  }
};

/** A managed policy that the caller's account may use: its own, or one of AWS's. */
export const usablePolicy = (state: IamState, caller: Caller, arn: string): ManagedPolicy | undefined => {
  const policy = state.policies.get(arn);
  return policy && [caller.accountId, 'aws'].includes(policy.accountId) ? policy : undefined;
};

/** As answers tell tags. */
export const tagList = (tags: Record<string, string>): Array<{ Key: string; Value: string }> =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

/** Tags of an input as a record; a key given twice (in any case) is refused. */
export const tagRecord = (list: ReadonlyArray<{ Key: string; Value: string }>): Record<string, string> => {
  const keys = list.map(({ Key }) => Key.toLowerCase());
  if (new Set(keys).size < keys.length) {
    throw new AwsError(
      'InvalidInput',
      'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
      400,
    );
  }
  if (keys.some((key) => key.startsWith('aws:'))) {
    throw new AwsError('InvalidInput', 'System tags cannot be added or changed: keys must not start with aws:.', 400);
  }
  return Object.fromEntries(list.map(({ Key, Value }) => [Key, Value]));
};

/** RFC 3986, as IAM answers every policy document. */
export const urlEncoded = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

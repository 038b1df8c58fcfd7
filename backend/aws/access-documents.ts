/** IAM as far as access policies go: the inline and the managed policies of a role, a user or a group (aws-facts 3.4). */
import {
  AttachGroupPolicyCommand,
  AttachRolePolicyCommand,
  AttachUserPolicyCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  DeleteGroupPolicyCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DeleteRolePolicyCommand,
  DeleteUserPolicyCommand,
  DetachGroupPolicyCommand,
  DetachRolePolicyCommand,
  DetachUserPolicyCommand,
  GetGroupPolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRolePolicyCommand,
  GetUserPolicyCommand,
  type IAMClient,
  ListAttachedGroupPoliciesCommand,
  ListAttachedRolePoliciesCommand,
  ListAttachedUserPoliciesCommand,
  ListPolicyVersionsCommand,
  PutGroupPolicyCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import type { PolicyWrite, SeenDocument } from '../access-policy/policy-writes.ts';
import {
  accessPolicyName,
  grantsPath,
  managedPolicyArn,
  managedPolicyName,
  type PolicyHolder,
} from '../access-policy/principal.ts';
import type { AccountAccess } from './broker.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** All of it throws AwsProblem when AWS says no for good. */
export type AccessDocuments = {
  /**
   * What the holder has of ours: the inline policy, and the managed policies 1 to `managed`, attached or not. Nothing when
   * there is no such holder.
   */
  read: (holder: PolicyHolder, managed: number) => Promise<SeenDocument[]>;
  /** One step; taking away what is gone already does nothing. */
  write: (holder: PolicyHolder, write: PolicyWrite) => Promise<void>;
};

/** IAM keeps five versions of a managed policy (aws-facts 5). */
const versionsKept = 5;

/** What is needed of an account; `boundaryArn` says in which partition it is. */
type DocumentAccess = Pick<AccountAccess, 'iam' | 'call'> & { account: { boundaryArn: string } };

type Inline = { PolicyName: string };
type Put = Inline & { PolicyDocument: string };
type Page = { PathPrefix: string; Marker?: string };

/** The same calls for each kind; only the field that names the holder differs. */
const calls = {
  role: {
    Kind: 'Role',
    get: (iam: IAMClient, RoleName: string, input: Inline) =>
      iam.send(new GetRolePolicyCommand({ RoleName, ...input })),
    put: (iam: IAMClient, RoleName: string, input: Put) => iam.send(new PutRolePolicyCommand({ RoleName, ...input })),
    remove: (iam: IAMClient, RoleName: string, input: Inline) =>
      iam.send(new DeleteRolePolicyCommand({ RoleName, ...input })),
    attached: (iam: IAMClient, RoleName: string, page: Page) =>
      iam.send(new ListAttachedRolePoliciesCommand({ RoleName, ...page })),
    attach: (iam: IAMClient, RoleName: string, PolicyArn: string) =>
      iam.send(new AttachRolePolicyCommand({ RoleName, PolicyArn })),
    detach: (iam: IAMClient, RoleName: string, PolicyArn: string) =>
      iam.send(new DetachRolePolicyCommand({ RoleName, PolicyArn })),
  },
  user: {
    Kind: 'User',
    get: (iam: IAMClient, UserName: string, input: Inline) =>
      iam.send(new GetUserPolicyCommand({ UserName, ...input })),
    put: (iam: IAMClient, UserName: string, input: Put) => iam.send(new PutUserPolicyCommand({ UserName, ...input })),
    remove: (iam: IAMClient, UserName: string, input: Inline) =>
      iam.send(new DeleteUserPolicyCommand({ UserName, ...input })),
    attached: (iam: IAMClient, UserName: string, page: Page) =>
      iam.send(new ListAttachedUserPoliciesCommand({ UserName, ...page })),
    attach: (iam: IAMClient, UserName: string, PolicyArn: string) =>
      iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn })),
    detach: (iam: IAMClient, UserName: string, PolicyArn: string) =>
      iam.send(new DetachUserPolicyCommand({ UserName, PolicyArn })),
  },
  group: {
    Kind: 'Group',
    get: (iam: IAMClient, GroupName: string, input: Inline) =>
      iam.send(new GetGroupPolicyCommand({ GroupName, ...input })),
    put: (iam: IAMClient, GroupName: string, input: Put) =>
      iam.send(new PutGroupPolicyCommand({ GroupName, ...input })),
    remove: (iam: IAMClient, GroupName: string, input: Inline) =>
      iam.send(new DeleteGroupPolicyCommand({ GroupName, ...input })),
    attached: (iam: IAMClient, GroupName: string, page: Page) =>
      iam.send(new ListAttachedGroupPoliciesCommand({ GroupName, ...page })),
    attach: (iam: IAMClient, GroupName: string, PolicyArn: string) =>
      iam.send(new AttachGroupPolicyCommand({ GroupName, PolicyArn })),
    detach: (iam: IAMClient, GroupName: string, PolicyArn: string) =>
      iam.send(new DetachGroupPolicyCommand({ GroupName, PolicyArn })),
  },
} as const;

const isGone = (error: unknown): boolean => error instanceof AwsProblem && error.kind === 'gone';
const isThere = (error: unknown): boolean =>
  error instanceof AwsProblem && error.code.startsWith('EntityAlreadyExists');

/**
 * @param unlessHolderGone the value, or `otherwise` when there is no such holder or nothing of that name on it. It must take
 * into account that IAM judges a holder that is not there by an ARN without path.
 */
export const createAccessDocuments = (
  broker: { account: (accountId: string) => DocumentAccess },
  unlessHolderGone: <T, F>(holder: PolicyHolder, work: Promise<T>, otherwise: F) => Promise<T | F>,
): AccessDocuments => {
  const arnOf = (holder: PolicyHolder, slot: number): string => {
    // The configuration checks that all ARNs of an account are its own.
    const [, partition = 'aws'] = broker.account(holder.accountId).account.boundaryArn.split(':');
    return managedPolicyArn(partition, holder, slot);
  };

  const inlineOf = async (holder: PolicyHolder): Promise<SeenDocument[]> => {
    const { iam, call } = broker.account(holder.accountId);
    const of = calls[holder.kind];
    const input = { PolicyName: accessPolicyName };
    const send = async () => (await of.get(iam, holder.name, input)).PolicyDocument ?? '';
    const document = await unlessHolderGone(holder, call(`iam:Get${of.Kind}Policy`, 'iam-read', send), null);
    // IAM gives documents back URL-encoded (aws-facts 3.4).
    return document === null ? [] : [{ slot: 0, document: decodeURIComponent(document), attached: true }];
  };

  const attachedTo = (holder: PolicyHolder): Promise<string[]> => {
    const { iam, call } = broker.account(holder.accountId);
    const of = calls[holder.kind];
    const work = allPages(async (token) => {
      const input = { PathPrefix: grantsPath, ...(token === undefined ? {} : { Marker: token }) };
      const name = `iam:ListAttached${of.Kind}Policies`;
      const page = await call(name, 'iam-read', () => of.attached(iam, holder.name, input));
      const arns = (page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []);
      return { items: arns, next: page.IsTruncated ? page.Marker : undefined };
    });
    return unlessHolderGone(holder, work, []);
  };

  const managedOf = async (
    holder: PolicyHolder,
    slot: number,
    attached: readonly string[],
  ): Promise<SeenDocument[]> => {
    const { iam, call } = broker.account(holder.accountId);
    const PolicyArn = arnOf(holder, slot);
    try {
      const { Policy } = await call('iam:GetPolicy', 'iam-read', () => iam.send(new GetPolicyCommand({ PolicyArn })));
      const VersionId = Policy?.DefaultVersionId;
      const input = { PolicyArn, VersionId };
      const send = () => iam.send(new GetPolicyVersionCommand(input));
      const { PolicyVersion } = await call('iam:GetPolicyVersion', 'iam-read', send);
      const document = decodeURIComponent(PolicyVersion?.Document ?? '');
      return [{ slot, document, attached: attached.includes(PolicyArn) }];
    } catch (error) {
      if (isGone(error)) return [];
      throw error;
    }
  };

  const versionsOf = async (accountId: string, PolicyArn: string) => {
    const { iam, call } = broker.account(accountId);
    const send = () => iam.send(new ListPolicyVersionsCommand({ PolicyArn }));
    const { Versions } = await call('iam:ListPolicyVersions', 'iam-read', send);
    return (Versions ?? []).flatMap(({ VersionId, IsDefaultVersion }) =>
      VersionId === undefined ? [] : [{ id: VersionId, isDefault: IsDefaultVersion === true }],
    );
  };

  const deleteVersion = async (accountId: string, PolicyArn: string, VersionId: string): Promise<void> => {
    const { iam, call } = broker.account(accountId);
    const send = () => iam.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId }));
    await call('iam:DeletePolicyVersion', 'iam-write', send);
  };

  /** A new default version; the oldest other one makes room for it. */
  const revise = async (accountId: string, PolicyArn: string, PolicyDocument: string): Promise<void> => {
    const { iam, call } = broker.account(accountId);
    const versions = await versionsOf(accountId, PolicyArn);
    const others = versions.filter(({ isDefault }) => !isDefault);
    // IAM lists the newest first; numbers are never used again.
    const oldest = others.toSorted((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)))[0];
    if (versions.length >= versionsKept && oldest !== undefined) await deleteVersion(accountId, PolicyArn, oldest.id);
    const input = { PolicyArn, PolicyDocument, SetAsDefault: true };
    await call('iam:CreatePolicyVersion', 'iam-write', () => iam.send(new CreatePolicyVersionCommand(input)));
  };

  const putManaged = async (holder: PolicyHolder, put: Extract<PolicyWrite, { do: 'put' }>): Promise<void> => {
    const { iam, call } = broker.account(holder.accountId);
    const arn = arnOf(holder, put.slot);
    if (put.known) return revise(holder.accountId, arn, put.document);
    const input = {
      PolicyName: managedPolicyName(holder, put.slot),
      Path: grantsPath,
      PolicyDocument: put.document,
      Description: 'Access that Curfew gave. It is written anew with every change and goes with the last of it.',
    };
    try {
      await call('iam:CreatePolicy', 'iam-write', () => iam.send(new CreatePolicyCommand(input)));
    } catch (error) {
      // An earlier answer may have been lost on its way.
      if (!isThere(error)) throw error;
      await revise(holder.accountId, arn, put.document);
    }
  };

  const deleteManaged = async (accountId: string, PolicyArn: string): Promise<void> => {
    const { iam, call } = broker.account(accountId);
    try {
      const versions = await versionsOf(accountId, PolicyArn);
      for (const { id, isDefault } of versions) if (!isDefault) await deleteVersion(accountId, PolicyArn, id);
      await call('iam:DeletePolicy', 'iam-write', () => iam.send(new DeletePolicyCommand({ PolicyArn })));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  };

  const attach = async (holder: PolicyHolder, PolicyArn: string): Promise<void> => {
    const { iam, call } = broker.account(holder.accountId);
    const of = calls[holder.kind];
    try {
      await call(`iam:Attach${of.Kind}Policy`, 'iam-write', () => of.attach(iam, holder.name, PolicyArn));
    } catch (error) {
      if (!(error instanceof AwsProblem) || error.kind !== 'gone') throw error;
      // What was just made may not be known everywhere yet (aws-facts 10): that goes by.
      const { code, advice } = error;
      throw new AwsProblem({ kind: 'retry', code, advice, call: 'iam:AttachPolicy' }, { cause: error });
    }
  };

  return {
    read: async (holder, managed) => {
      const inline = await inlineOf(holder);
      if (managed === 0) return inline;
      const attached = await attachedTo(holder);
      const documents = [...inline];
      for (let slot = 1; slot <= managed; slot += 1) documents.push(...(await managedOf(holder, slot, attached)));
      return documents;
    },
    write: async (holder, write) => {
      const { iam, call } = broker.account(holder.accountId);
      const of = calls[holder.kind];
      const PolicyName = accessPolicyName;
      if (write.slot === 0) {
        if (write.do === 'put') {
          const input = { PolicyName, PolicyDocument: write.document };
          await call(`iam:Put${of.Kind}Policy`, 'iam-write', () => of.put(iam, holder.name, input));
        } else {
          const work = call(`iam:Delete${of.Kind}Policy`, 'iam-write', () =>
            of.remove(iam, holder.name, { PolicyName }),
          );
          await unlessHolderGone(holder, work, null);
        }
        return;
      }
      const arn = arnOf(holder, write.slot);
      switch (write.do) {
        case 'put':
          return putManaged(holder, write);
        case 'attach':
          return attach(holder, arn);
        case 'detach':
          await unlessHolderGone(
            holder,
            call(`iam:Detach${of.Kind}Policy`, 'iam-write', () => of.detach(iam, holder.name, arn)),
            null,
          );
          return;
        case 'delete':
          return deleteManaged(holder.accountId, arn);
      }
    },
  };
};

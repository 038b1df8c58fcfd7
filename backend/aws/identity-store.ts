/** Identity Center's identity store: its answers as our facts, and who is in a group. */
import {
  GetGroupIdCommand,
  type IdentitystoreClient,
  ListGroupMembershipsCommand,
  ResourceNotFoundException,
  type User,
} from '@aws-sdk/client-identitystore';
import type { PersonFacts } from '../store/people.ts';
import { allPages } from './pages.ts';

/** `pace` is awaited before each call of those who read much. */
export type IdentityStore = { client: IdentitystoreClient; identityStoreId: string; pace: () => Promise<void> };

/** A group with the UserIds of all of its members, disabled ones too. */
export type StoreGroup = { id: string; name: string; memberIds: string[] };

/** Null when there is no such person or group. A whole identity store that is not there is a fault: nobody has left (ID-12). */
export const orNull = async <T>(call: Promise<T>): Promise<T | null> => {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ResourceNotFoundException && error.ResourceType !== 'IDENTITY_STORE') return null;
    throw error;
  }
};

/** @returns null when AWS tells no id or name: then it is nobody that we could name. */
export const personFactsOf = (
  user: Partial<User>,
  { groups, checkedAt }: Pick<PersonFacts, 'groups' | 'checkedAt'>,
): PersonFacts | null => {
  if (user.UserId === undefined || user.UserName === undefined) return null;
  const emails = user.Emails ?? [];
  return {
    id: user.UserId,
    userName: user.UserName,
    displayName: user.DisplayName ?? user.UserName,
    email: (emails.find((email) => email.Primary === true) ?? emails[0])?.Value ?? null,
    enabled: user.UserStatus !== 'DISABLED',
    groups,
    checkedAt,
  };
};

/** UserIds of a group's members; none when it is not there (any more). */
export const readMemberIds = async (store: IdentityStore, GroupId: string): Promise<string[]> => {
  const input = { IdentityStoreId: store.identityStoreId, GroupId, MaxResults: 100 };
  const members = await orNull(
    allPages(async (NextToken) => {
      await store.pace();
      const page = await store.client.send(
        new ListGroupMembershipsCommand(NextToken === undefined ? input : { ...input, NextToken }),
      );
      const items = (page.GroupMemberships ?? []).flatMap(({ MemberId }) => MemberId?.UserId ?? []);
      return { items, next: page.NextToken };
    }),
  );
  return members ?? [];
};

/** Null when there is no group of that name. */
export const readGroupNamed = async (store: IdentityStore, name: string): Promise<StoreGroup | null> => {
  const AlternateIdentifier = { UniqueAttribute: { AttributePath: 'displayName', AttributeValue: name } };
  await store.pace();
  const found = await orNull(
    store.client.send(new GetGroupIdCommand({ IdentityStoreId: store.identityStoreId, AlternateIdentifier })),
  );
  if (found?.GroupId === undefined) return null;
  return { id: found.GroupId, name, memberIds: await readMemberIds(store, found.GroupId) };
};

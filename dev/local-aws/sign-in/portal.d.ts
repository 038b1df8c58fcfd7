/** The access portal (service `sso`): which accounts and roles a person has, and credentials for one (aws-facts 1.8). */
import type { CredentialStore } from '../authorization/credential-store.ts';
import type { IamState } from '../iam/state.ts';
import { type World } from '../world.ts';
import type { SignInState } from './sign-in-state.ts';
export type Portal = ReturnType<typeof createPortal>;
/** Operations take the bearer token and the query, and throw AwsError. */
export declare const createPortal: (options: {
    world: World;
    state: SignInState;
    iam: IamState;
    credentials: CredentialStore;
    now: () => Date;
}) => {
    listAccounts(bearer: string | undefined, query: URLSearchParams): {
        accountList: {
            accountId: string;
            accountName: string;
            emailAddress: string;
        }[];
        nextToken: string | undefined;
    };
    listAccountRoles(bearer: string | undefined, query: URLSearchParams): {
        roleList: {
            roleName: string;
            accountId: string;
        }[];
        nextToken: string | undefined;
    };
    /** The person becomes a session of the permission set's role, named by userName, with `identitystore:UserId` on it. */
    getRoleCredentials(bearer: string | undefined, query: URLSearchParams): {
        roleCredentials: {
            accessKeyId: string;
            secretAccessKey: string;
            sessionToken: string;
            expiration: number;
        };
    };
    /** Ends the portal session; role credentials already issued live on, as in AWS. */
    logout(bearer: string | undefined): {};
};

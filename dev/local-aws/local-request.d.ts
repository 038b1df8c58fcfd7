/** Who may use the parts of local-aws that ask for no signature: programs on this machine, and no web page. */
import type { AwsRequest } from './service.ts';
/** Whether the Host is one that a program of this machine uses. A name that a page had rebound to loopback is not. */
export declare const isMeantForUs: ({ headers }: AwsRequest) => boolean;
/** Whether a page of another origin sent this: browsers name the origin with every POST and every cross-origin request. */
export declare const isFromForeignPage: ({ headers }: AwsRequest) => boolean;

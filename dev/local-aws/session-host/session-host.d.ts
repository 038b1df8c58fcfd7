import type { SessionHost, SessionHostOptions } from './host-types.ts';
export declare const createSessionHost: (options: SessionHostOptions) => SessionHost;

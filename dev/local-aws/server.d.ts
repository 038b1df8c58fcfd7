import { type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CredentialStore } from './authorization/credential-store.ts';
import { type AwsRequest, type FaultHooks, type SignedService, type UnsignedRoute } from './service.ts';
export type AwsServerOptions = {
    now: () => Date;
    credentials: CredentialStore;
    /** Asked for at every request, so that services can be made after the server listens and its port is known. */
    services: () => SignedService[];
    unsignedRoutes: () => UnsignedRoute[];
    faults: FaultHooks;
    /** A websocket upgrade, with the request in the form that `verifySignature` reads. Without it upgrades are cut. */
    onUpgrade?: (upgrade: {
        message: IncomingMessage;
        socket: Duplex;
        head: Buffer;
        request: AwsRequest;
    }) => void;
    /** Told of what is nobody's expected answer, with the id that the client sees. */
    onFault: (error: unknown, requestId: string) => void;
};
export type AwsServer = {
    /** Listens on 127.0.0.1 (`port` 0 = any free one) and tells the endpoint, `http://127.0.0.1:<port>`. */
    listen(port: number): Promise<string>;
    /** Cuts open connections and stops listening. */
    close(): Promise<void>;
};
/** A node request in the form of `service.ts`. The path stays encoded as received; repeated headers are joined by commas. */
export declare const awsRequest: (message: IncomingMessage, body: Buffer, now: Date) => AwsRequest;
/** Builds the server; nothing listens yet. */
export declare const createAwsServer: (options: AwsServerOptions) => AwsServer;

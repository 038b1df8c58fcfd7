import { type Authorise, type JsonService } from '../service.ts';
import type { SessionHost } from '../session-host/host-types.ts';
import type { World } from '../world.ts';
import { type SessionTable } from './session-table.ts';
/** @param streamBase where the data channel is: `ws://127.0.0.1:<port>`, asked at each start. */
export declare const createSsm: (options: {
    world: World;
    host: SessionHost;
    sessions: SessionTable;
    authorise: Authorise;
    streamBase: () => string;
    now: () => Date;
}) => JsonService;

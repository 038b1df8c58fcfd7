import { type Authorise, type JsonService } from './service.ts';
import type { World } from './world.ts';
/** `world` is asked at every call: people and groups may change while running. */
export declare const createIdentityStoreService: (deps: {
    world: () => World;
    authorise: Authorise;
}) => JsonService;

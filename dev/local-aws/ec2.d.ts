import { type Authorise, type QueryService } from './service.ts';
import type { WorldInstance } from './world.ts';
/** `instances` is asked at every call: the world may change while running. Hybrid nodes (`mi-`) are not EC2's. */
export declare const createEc2Service: (deps: {
    instances: () => WorldInstance[];
    authorise: Authorise;
}) => QueryService;

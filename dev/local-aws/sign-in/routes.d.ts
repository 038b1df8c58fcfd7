import type { Faults } from '../faults.ts';
import { type UnsignedRoute } from '../service.ts';
import type { World } from '../world.ts';
import { type Oidc } from './oidc.ts';
import type { Portal } from './portal.ts';
import type { Lifetimes, SignInState } from './sign-in-state.ts';
export declare const signInRoutes: (options: {
    world: World;
    state: SignInState;
    oidc: Oidc;
    portal: Portal;
    faults: Faults;
    lifetimes: () => Lifetimes;
    now: () => Date;
}) => UnsignedRoute[];

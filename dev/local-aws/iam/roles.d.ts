import { type IamDeps, type Operation } from './lookups.ts';
export declare const createRoleOperations: (deps: IamDeps) => Record<string, Operation>;

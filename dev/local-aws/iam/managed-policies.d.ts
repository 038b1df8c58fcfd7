import { type IamDeps, type Operation } from './lookups.ts';
export declare const createManagedPolicyOperations: (deps: IamDeps) => Record<string, Operation>;

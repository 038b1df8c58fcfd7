import { type IamDeps, type Operation } from './lookups.ts';
export declare const createInlinePolicyOperations: (deps: IamDeps) => Record<string, Operation>;

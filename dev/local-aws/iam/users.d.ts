import { type IamDeps, type Operation } from './lookups.ts';
export declare const createUserOperations: (deps: IamDeps) => Record<string, Operation>;

import { type IamDeps, type Operation } from './lookups.ts';
export declare const createAttachmentOperations: (deps: IamDeps) => Record<string, Operation>;

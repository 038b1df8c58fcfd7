/** Reads the CloudFormation templates of deploy/ as CloudFormation would make them in one account: what our tests need of it, no more. */
import { readFileSync } from 'node:fs';
import { parse, type ScalarTag } from 'yaml';
import { z } from 'zod';

const resources = z.record(z.string(), z.object({ Type: z.string(), Properties: z.looseObject({}) }));
const templateSchema = z.object({
  Parameters: z.record(z.string(), z.looseObject({ Default: z.union([z.string(), z.number()]).optional() })),
  Resources: resources,
});

export type Deployed = {
  /** By logical id, with `!Sub`, `!Ref` and parameters resolved; what hangs on a `!If` is left out. */
  resources: z.output<typeof resources>;
};

/** @throws when the deployment names a parameter that the template does not have, or leaves out one that it needs. */
export const deployTemplate = (file: string, accountId: string, parameters: Record<string, string>): Deployed => {
  const resolved = (name: string): string => {
    if (name === 'AWS::Partition') return 'aws';
    if (name === 'AWS::AccountId') return accountId;
    return parameters[name] ?? name;
  };
  const scalar = (tag: string, resolve: (text: string) => unknown): ScalarTag => ({ tag, resolve });
  const customTags = [
    scalar('!Sub', (text) => text.replaceAll(/\$\{([\w:]+)\}/g, (_all, name: string) => resolved(name))),
    scalar('!Ref', resolved),
    scalar('!GetAtt', (text) => text),
    ...['!Equals', '!Not', '!If'].map((tag) => ({ tag, collection: 'seq' as const })),
  ];
  const read = templateSchema.parse(parse(readFileSync(file, 'utf8'), { customTags, logLevel: 'silent' }));
  const needed = Object.entries(read.Parameters).flatMap(([name, { Default }]) =>
    Default === undefined ? [name] : [],
  );
  const given = Object.keys(parameters);
  const unknown = given.filter((name) => !(name in read.Parameters));
  const missing = needed.filter((name) => !given.includes(name));
  if (unknown.length > 0 || missing.length > 0) {
    throw new Error(`${file}: unknown parameters [${unknown.join()}], missing [${missing.join()}]`);
  }
  return { resources: read.Resources };
};

const policy = z.looseObject({ Version: z.string(), Statement: z.array(z.looseObject({})) });
const roleSchema = z.object({
  RoleName: z.string(),
  Path: z.string().default('/'),
  AssumeRolePolicyDocument: policy,
  Policies: z.array(z.object({ PolicyName: z.string(), PolicyDocument: policy })),
});
const boundarySchema = z.object({ ManagedPolicyName: z.string(), Path: z.string(), PolicyDocument: policy });
const documentSchema = z.object({
  Name: z.string(),
  Content: z.object({ description: z.string(), inputs: z.object({ maxSessionDuration: z.string() }) }),
});

/** The template's roles, managed policies and session documents as a world file of local-aws has them. */
export const worldEntities = ({ resources: made }: Deployed) => {
  const ofType = (type: string) =>
    Object.values(made).flatMap(({ Type, Properties }) => (Type === type ? [Properties] : []));
  return {
    roles: ofType('AWS::IAM::Role')
      .map((role) => roleSchema.parse(role))
      .map((role) => ({
        name: role.RoleName,
        path: role.Path,
        trust: role.AssumeRolePolicyDocument,
        inlinePolicies: Object.fromEntries(role.Policies.map((one) => [one.PolicyName, one.PolicyDocument])),
      })),
    managedPolicies: ofType('AWS::IAM::ManagedPolicy')
      .map((one) => boundarySchema.parse(one))
      .map((one) => ({ name: one.ManagedPolicyName, path: one.Path, document: one.PolicyDocument })),
    sessionDocuments: ofType('AWS::SSM::Document')
      .map((one) => documentSchema.parse(one))
      .map(({ Name, Content }) => ({
        name: Name,
        description: Content.description,
        maxSessionMinutes: Number(Content.inputs.maxSessionDuration),
      })),
  };
};

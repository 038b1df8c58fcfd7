/** A CloudFormation template of deploy/ as it comes out with given parameters: what tests judge. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type CollectionTag, isSeq, parse, type ScalarTag } from 'yaml';
import { z } from 'zod';

export const deployFolder = resolve(import.meta.dirname, '../../../deploy');

type Call = { call: string; given: unknown };
const isCall = (value: unknown): value is Call =>
  typeof value === 'object' && value !== null && 'call' in value && 'given' in value;

const scalarCalls = ['Ref', 'Sub', 'GetAtt', 'Condition'];
const listCalls = ['Equals', 'Not', 'And', 'Or', 'If', 'Join'];
const tags = [
  ...scalarCalls.map((call): ScalarTag => ({ tag: `!${call}`, resolve: (given) => ({ call, given }) })),
  ...listCalls.map(
    (call): CollectionTag => ({
      tag: `!${call}`,
      collection: 'seq',
      resolve: (given) => ({ call, given: isSeq(given) ? given.toJSON() : [] }),
    }),
  ),
];

const templateShape = z.object({
  Parameters: z.record(z.string(), z.looseObject({ Default: z.unknown().optional() })).default({}),
  Conditions: z.record(z.string(), z.unknown()).default({}),
  Resources: z.record(
    z.string(),
    z.looseObject({ Type: z.string(), Condition: z.string().optional(), Properties: z.looseObject({}) }),
  ),
});

export type Deployed = Record<string, { type: string; properties: Record<string, unknown> }>;

/** @param accountId where it is deployed. @returns the resources that are made, by name. */
export const deployed = (file: string, accountId: string, given: Record<string, string>): Deployed => {
  const text = readFileSync(resolve(deployFolder, file), 'utf8');
  const template = templateShape.parse(parse(text, { customTags: tags, logLevel: 'silent' }));
  const parameter = (name: string): unknown => {
    if (name === 'AWS::Partition') return 'aws';
    if (name === 'AWS::AccountId') return accountId;
    return given[name] ?? template.Parameters[name]?.Default ?? name;
  };
  const isMade = (name: string): boolean => evaluated(template.Conditions[name]) === true;
  const call = ({ call: name, given: input }: Call): unknown => {
    const list = Array.isArray(input) ? input : [];
    switch (name) {
      case 'Ref':
        return parameter(String(input));
      case 'Sub':
        return String(input).replaceAll(/\$\{([\w:]+)\}/g, (_, one: string) => String(parameter(one)));
      case 'Condition':
        return isMade(String(input));
      case 'Equals':
        return evaluated(list[0]) === evaluated(list[1]);
      case 'Not':
        return evaluated(list[0]) !== true;
      case 'And':
        return list.every((one) => evaluated(one) === true);
      case 'Or':
        return list.some((one) => evaluated(one) === true);
      case 'If':
        return evaluated(isMade(String(list[0])) ? list[1] : list[2]);
      case 'Join':
        return [evaluated(list[1])].flat().join(String(list[0]));
      default:
        return String(input);
    }
  };
  const evaluated = (value: unknown): unknown => {
    if (isCall(value)) return call(value);
    if (Array.isArray(value)) return value.map(evaluated);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, evaluated(part)]));
  };
  const made: Deployed = {};
  for (const [name, { Type, Condition, Properties }] of Object.entries(template.Resources)) {
    if (Condition !== undefined && !isMade(Condition)) continue;
    made[name] = { type: Type, properties: z.looseObject({}).parse(evaluated(Properties)) };
  }
  return made;
};

const document = z.looseObject({ Statement: z.array(z.looseObject({ Effect: z.string() })) });
export type Policy = z.infer<typeof document>;
const withPolicies = z.looseObject({
  Policies: z.array(z.looseObject({ PolicyDocument: document })).default([]),
});

/** Everything that is written on a role: in the role itself, and by `AWS::IAM::RolePolicy` of the same template. */
export const policiesOf = (made: Deployed, role: string): Policy[] => {
  const own = withPolicies.parse(made[role]?.properties ?? {}).Policies.map(({ PolicyDocument }) => PolicyDocument);
  const beside = Object.values(made).flatMap(({ type, properties }) =>
    type === 'AWS::IAM::RolePolicy' && properties['RoleName'] === role
      ? [document.parse(properties['PolicyDocument'])]
      : [],
  );
  return [...own, ...beside];
};

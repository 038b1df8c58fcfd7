/** Is a boundary at most what deploy/curfew-account.yml makes? A narrower one is an admin's good right. Pure. */
import { z } from 'zod';

const oneOrMore = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const statement = z.looseObject({
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMore.optional(),
  Resource: oneOrMore.optional(),
});
const policy = z.object({ Statement: z.union([statement, z.array(statement)]).transform((value) => [value].flat()) });

const start = 'ssm:startsession';
const allowed = new Set([
  start,
  'ssm:resumesession',
  'ssm:terminatesession',
  'ssm:getconnectionstatus',
  'ssmmessages:opendatachannel',
]);
const startable = /^arn:[a-z-]+:(ec2:[^:]*:\d{12}:instance\/|ssm:[^:]*:\d{12}:(managed-instance\/|document\/Curfew-))/;

const widenings = ({ Effect, Action, Resource }: z.output<typeof statement>): string[] => {
  if (Effect === 'Deny') return [];
  if (Action === undefined || Resource === undefined) return ['it allows by NotAction or NotResource'];
  const actions = Action.map((action) => action.toLowerCase());
  const wide = Action.filter((action) => !allowed.has(action.toLowerCase())).map((action) => `it allows ${action}`);
  const places = actions.includes(start) ? Resource.filter((resource) => !startable.test(resource)) : [];
  return [...wide, ...places.map((resource) => `it allows ssm:StartSession on ${resource}`)];
};

const keepsTheFencedOut = ({ Effect, Action }: z.output<typeof statement>, text: string): boolean =>
  Effect === 'Deny' && (Action ?? []).some((action) => action.toLowerCase() === start) && text.includes('never');

/** How a boundary is wider than the template's; empty when it is not. @param document its JSON. */
export const boundaryWidenings = (document: string): string[] => {
  let read: unknown;
  try {
    read = JSON.parse(document);
  } catch {
    return ['its document is not JSON'];
  }
  const parsed = policy.safeParse(read);
  if (!parsed.success) return ['its document has a form that Curfew does not know'];
  const { Statement } = parsed.data;
  const fence = Statement.some((one) => keepsTheFencedOut(one, JSON.stringify(one)));
  return [
    ...Statement.flatMap(widenings),
    ...(fence ? [] : ['it does not deny ssm:StartSession on nodes tagged curfew=never']),
  ];
};

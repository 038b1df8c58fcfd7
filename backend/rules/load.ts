/** Reads a folder of rules and says what is wrong with file, line and column; knows nothing of who asks. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkParseSchema,
  type DetailedError,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  schemaToJson,
  statefulIsAuthorized,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';
import type { FileProblem } from '../yaml-file.ts';
import { question, sampleFacts } from './facts.ts';
import { type Relevance, relevanceOf } from './relevance.ts';
import { untrustedReads } from './trusted-tags.ts';

/** One rule with what its annotations say. */
export type Rule = {
  id: string;
  effect: 'permit' | 'forbid';
  /** `@approvals("2")`: persons who must say yes. */
  approvals: number | null;
  /** `@maxDuration("4h")`: the permit counts only up to this many seconds of continuous access. */
  maxDurationSeconds: number | null;
  advice: string | null;
};

/** A set that validated: parsed by Cedar under `cedarId`. */
export type LoadedRules = { hash: string; cedarId: string; rules: ReadonlyMap<string, Rule>; relevance: Relevance };

export type Loaded = { ok: true; loaded: LoadedRules } | { ok: false; problems: FileProblem[] };

type SourceFile = { name: string; path: string; text: string };

const schemaFileName = 'schema.cedarschema';
const knownAnnotations = ['id', 'approvals', 'maxDuration', 'advice'];

/** Cedar counts UTF-8 bytes from the start; people count lines and characters from 1. */
const problemAt = (file: Pick<SourceFile, 'path' | 'text'>, byteOffset: number, message: string) => {
  const before = Buffer.from(file.text, 'utf8').subarray(0, byteOffset).toString('utf8');
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  return { file: file.path, line, column: [...before.slice(lineStart)].length + 1, message };
};

const cedarProblem = (file: SourceFile, error: DetailedError): FileProblem => {
  const place = error.sourceLocations?.[0];
  const hints = [place?.label, error.help].filter((hint) => typeof hint === 'string');
  const message = error.message.replace(/^for policy `[^`]*`, /, '');
  return problemAt(file, place?.start ?? 0, [message, ...hints].join('; '));
};

const durationOf = (text: string): number | null => {
  const match = /^([1-9]\d{0,3})(m|h)$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * (match[2] === 'h' ? 3600 : 60);
};

const approvalsOf = (text: string): number | null => (/^[1-5]$/.test(text) ? Number(text) : null);

type Told = { rule: Rule } | { problems: Array<{ annotation: string | null; message: string }> };

/** What a rule's annotations mean, or what is wrong with them. */
const ruleOf = (effect: Rule['effect'], annotations: Record<string, string | null>): Told => {
  const problems: Array<{ annotation: string | null; message: string }> = [];
  const complain = (annotation: string | null, message: string) => problems.push({ annotation, message });
  const text = (name: string): string | null => annotations[name] ?? null;

  for (const name of Object.keys(annotations)) {
    if (!knownAnnotations.includes(name)) complain(name, `@${name} is not one of @${knownAnnotations.join(', @')}`);
  }
  const id = text('id') ?? '';
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(id)) {
    complain('id' in annotations ? 'id' : null, 'needs an @id of small letters, digits and dashes (64 at most)');
  }
  const approvals = text('approvals');
  const approvalsNeeded = approvals === null ? null : approvalsOf(approvals);
  if (approvals !== null && approvalsNeeded === null) complain('approvals', '@approvals takes "1" to "5"');
  const longest = text('maxDuration');
  const maxDurationSeconds = longest === null ? null : durationOf(longest);
  if (longest !== null && maxDurationSeconds === null) complain('maxDuration', '@maxDuration takes e.g. "30m" or "4h"');
  if (effect === 'forbid' && (approvals !== null || longest !== null)) {
    complain(null, 'a forbid has no @approvals or @maxDuration: it forbids or it does not apply');
  }
  if (problems.length > 0) return { problems };
  return { rule: { id, effect, approvals: approvalsNeeded, maxDurationSeconds, advice: text('advice') } };
};

type FileRules = { rules: Array<{ rule: Rule; text: string; policy: unknown; at: number }>; problems: FileProblem[] };

const rulesOfFile = (file: SourceFile, schema: string): FileRules => {
  const checked = validate({ schema, policies: { staticPolicies: file.text } });
  if (checked.type === 'failure') {
    return { rules: [], problems: checked.errors.map((error) => cedarProblem(file, error)) };
  }
  const problems = checked.validationErrors.map(({ error }) => cedarProblem(file, error));
  const parts = policySetTextToParts(file.text);
  if (parts.type === 'failure') {
    return { rules: [], problems: parts.errors.map((error) => cedarProblem(file, error)) };
  }
  if (parts.policy_templates.length > 0) {
    problems.push(problemAt(file, 0, 'templates (?principal, ?resource) are not used here: write rules'));
  }
  const rules: FileRules['rules'] = [];
  for (const text of parts.policies) {
    const at = Buffer.byteLength(file.text.slice(0, Math.max(0, file.text.indexOf(text))), 'utf8');
    const json = policyToJson(text);
    if (json.type === 'failure') {
      problems.push(...json.errors.map((error) => problemAt(file, at, error.message)));
      continue;
    }
    const told = ruleOf(json.json.effect, json.json.annotations ?? {});
    if ('rule' in told) {
      rules.push({ rule: told.rule, text, policy: json.json, at });
      continue;
    }
    for (const { annotation, message } of told.problems) {
      const inside = annotation === null ? 0 : Math.max(0, text.indexOf(`@${annotation}`));
      problems.push(problemAt(file, at + Buffer.byteLength(text.slice(0, inside), 'utf8'), message));
    }
  }
  return { rules, problems };
};

/** A rule for a group of actions would cover `autoApprove` without naming it (RQ-07). */
const actionGroups = (schema: SourceFile): FileProblem[] => {
  const read = schemaToJson(schema.text);
  if (read.type === 'failure') return read.errors.map((error) => cedarProblem(schema, error));
  const grouped = Object.values(read.json)
    .flatMap(({ actions }) => Object.entries(actions))
    .filter(([, { memberOf }]) => (memberOf ?? []).length > 0);
  return grouped.map(([name]) =>
    problemAt(schema, 0, `the action ${name} is in a group of actions: leave the schema as it came with Curfew`),
  );
};

/** Cedar skips a rule that it cannot evaluate, so a schema that does not fit our facts must not get into force. */
const schemaProblems = (schema: SourceFile, cedarId: string): FileProblem[] => {
  const problems: FileProblem[] = [];
  for (const action of ['request', 'autoApprove', 'approve'] as const) {
    const asked = question(action, sampleFacts, action === 'approve' ? sampleFacts.person : null);
    const answer = statefulIsAuthorized({
      ...asked,
      preparsedPolicySetId: cedarId,
      preparsedSchemaName: cedarId,
      validateRequest: true,
    });
    if (answer.type === 'failure') {
      const why = answer.errors.map((error) => error.message).join('; ');
      problems.push(problemAt(schema, 0, `does not fit what Curfew tells the rules (${action}): ${why}`));
    }
  }
  return problems;
};

const hashOf = (files: readonly SourceFile[]): string => {
  const hash = createHash('sha256');
  for (const { name, text } of files) hash.update(JSON.stringify([name, text]));
  return hash.digest('hex');
};

const readFiles = async (folder: string): Promise<SourceFile[]> => {
  const names = (await readdir(folder)).filter((name) => name === schemaFileName || name.endsWith('.cedar')).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      return { name, path, text: await readFile(path, 'utf8') };
    }),
  );
};

const doubleIds = (found: ReadonlyArray<{ file: SourceFile; rule: Rule; at: number }>): FileProblem[] => {
  const seen = new Set<string>();
  const problems: FileProblem[] = [];
  for (const { file, rule, at } of found) {
    if (seen.has(rule.id)) problems.push(problemAt(file, at, `the @id "${rule.id}" stands twice`));
    seen.add(rule.id);
  }
  return problems;
};

/**
 * Loads `schema.cedarschema` and every `*.cedar` of a folder. Nothing is in force by loading: the caller keeps the last
 * good set when this one has problems.
 * @param trustedTags tags of instances that rules may look at which give access without a person.
 * @throws when the folder cannot be read.
 */
export const loadRules = async (folder: string, trustedTags: readonly string[]): Promise<Loaded> => {
  const files = await readFiles(folder);
  const schema = files.find((file) => file.name === schemaFileName);
  const path = join(folder, schemaFileName);
  if (schema === undefined) {
    return { ok: false, problems: [{ file: path, line: 1, column: 1, message: 'is missing' }] };
  }
  const parsed = checkParseSchema(schema.text);
  if (parsed.type === 'failure') {
    return { ok: false, problems: parsed.errors.map((error) => cedarProblem(schema, error)) };
  }
  const perFile = files.filter((file) => file !== schema).map((file) => ({ file, ...rulesOfFile(file, schema.text) }));
  const found = perFile.flatMap(({ file, rules }) => rules.map((rule) => ({ file, ...rule })));
  const untrusted = found.flatMap(({ file, text, policy, at }) =>
    untrustedReads({ policy, text }, trustedTags).map((read) =>
      problemAt(file, at + Buffer.byteLength(text.slice(0, read.at), 'utf8'), read.message),
    ),
  );
  const problems = [
    ...perFile.flatMap((file) => file.problems),
    ...doubleIds(found),
    ...untrusted,
    ...actionGroups(schema),
  ];
  if (problems.length === 0 && found.length === 0)
    problems.push(problemAt(schema, 0, 'stands alone: no rule in *.cedar'));
  if (problems.length > 0) return { ok: false, problems };

  const hash = hashOf(files);
  const cedarId = `rules-${hash}`;
  const texts = Object.fromEntries(found.map(({ rule, text }) => [rule.id, text]));
  for (const answer of [preparseSchema(cedarId, schema.text), preparsePolicySet(cedarId, { staticPolicies: texts })]) {
    if (answer.type === 'failure') throw new Error(answer.errors.map((error) => error.message).join('; '));
  }
  const misfits = schemaProblems(schema, cedarId);
  if (misfits.length > 0) return { ok: false, problems: misfits };
  const relevance = relevanceOf(found.map(({ policy }) => policy));
  return { ok: true, loaded: { hash, cedarId, relevance, rules: new Map(found.map(({ rule }) => [rule.id, rule])) } };
};

/**
 * The inventory as one person may ask for it: filtered by the rules before anything is searched, counted or sorted, so that
 * no filter, count or cursor tells of an instance that is not theirs (threats API-03).
 */

import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type Instance, refKey } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { InstancePage, InstanceQuery } from '../../src/shared/views.ts';
import { nothingHeld } from '../access/held.ts';
import { factsOf } from '../access/judge.ts';
import { canonicalForm } from '../audit/chain.ts';
import type { RuleSet } from '../rules/rules.ts';
import { createInventoryCopy } from '../store/instances.ts';
import type { Db } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';

export type InstanceList = (person: PersonFacts, query: InstanceQuery) => Promise<InstancePage>;

export type InstanceListDeps = {
  db: Db;
  rules: { current: () => RuleSet };
  /** Authenticates cursors. */
  cursorKey: KeyObject;
  now: () => Date;
};

const peopleRemembered = 200;
const valuesPerTag = 100;
const tagsShown = 40;

/** Rules see the hour, so an answer holds for this long. */
const answerMs = 60_000;

/** What a person may ask for at all, in the order of the list, with what the list says of all of it. */
type Askable = { instances: readonly Instance[]; facets: InstancePage['facets'] };

/** Which instances the rules let a person ask for at all, asked with the least demanding request there is. */
const createAskable = ({ rules, now }: InstanceListDeps) => {
  const remembered = new Map<string, { until: number; inventory: readonly Instance[]; askable: Askable }>();
  const find = (person: PersonFacts, inventory: readonly Instance[]): Askable => {
    const set = rules.current();
    const instances = inventory.filter((instance) => {
      const ask = {
        person,
        instances: [instance],
        capability: 'shell' as const,
        durationSeconds: limits.shortestGrantSeconds,
        reason: 'inventory',
        ticket: null,
        at: now(),
        usedSeconds: new Map(),
        asksLately: new Map(),
        held: nothingHeld,
      };
      return set.request(factsOf(ask, instance)).allowed;
    });
    return { instances: instances.sort(byName), facets: facetsOf(instances) };
  };
  return (person: PersonFacts, inventory: readonly Instance[]): Askable => {
    const key = `${rules.current().hash} ${person.id} ${person.groups.join(',')}`;
    const at = now().getTime();
    const found = remembered.get(key);
    if (found !== undefined && found.until > at && found.inventory === inventory) return found.askable;
    remembered.delete(key);
    const [oldest] = remembered.keys();
    if (remembered.size >= peopleRemembered && oldest !== undefined) remembered.delete(oldest);
    const askable = find(person, inventory);
    remembered.set(key, { until: at + answerMs, inventory, askable });
    return askable;
  };
};

/** Lower case, one line each; made once for each reading of an instance. */
const searchTexts = new WeakMap<Instance, string>();
const searchText = (instance: Instance): string => {
  const known = searchTexts.get(instance);
  if (known !== undefined) return known;
  const text = [
    instance.name,
    instance.instanceId,
    instance.accountId,
    instance.accountName,
    instance.region,
    instance.platform,
    ...Object.entries(instance.tags).map(([key, value]) => `${key}=${value}`),
  ]
    .join('\n')
    .toLowerCase();
  searchTexts.set(instance, text);
  return text;
};

const matches = (query: InstanceQuery) => {
  const words = query.search.toLowerCase().split(/\s+/).filter(Boolean);
  const tags = Object.entries(query.tags).filter(([, values]) => values.length > 0);
  return (instance: Instance): boolean => {
    if (query.onlineOnly && !instance.online) return false;
    if (query.accounts.length > 0 && !query.accounts.includes(instance.accountId)) return false;
    if (query.regions.length > 0 && !query.regions.includes(instance.region)) return false;
    if (!tags.every(([key, values]) => values.includes(instance.tags[key] ?? ''))) return false;
    const text = words.length === 0 ? '' : searchText(instance);
    return words.every((word) => text.includes(word));
  };
};

const facetsOf = (instances: readonly Instance[]): InstancePage['facets'] => {
  const accounts = new Map(instances.map(({ accountId, accountName }) => [accountId, accountName]));
  const tags = new Map<string, Set<string>>();
  for (const instance of instances) {
    for (const [key, value] of Object.entries(instance.tags)) tags.set(key, (tags.get(key) ?? new Set()).add(value));
  }
  return {
    accounts: [...accounts].map(([accountId, accountName]) => ({ accountId, accountName })),
    regions: [...new Set(instances.map(({ region }) => region))].sort(),
    tags: Object.fromEntries(
      [...tags]
        .sort(([a], [b]) => a.localeCompare(b))
        .slice(0, tagsShown)
        .map(([key, values]) => [key, [...values].sort().slice(0, valuesPerTag)]),
    ),
  };
};

const byName = (a: Instance, b: Instance): number => {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  const [left, right] = [refKey(a), refKey(b)];
  return left < right ? -1 : Number(left > right);
};

const cursorContent = z.tuple([z.string(), z.string()]);

/** A place after an instance, bound to who asked what: a cursor of somebody else or of another filter is refused. */
const createCursors = (key: KeyObject) => {
  const macOf = (personId: string, query: InstanceQuery, content: string): Buffer => {
    const { cursor: _, limit: __, ...filter } = query;
    return createHmac('sha256', key).update(canonicalForm({ personId, filter, content })).digest();
  };
  return {
    make: (personId: string, query: InstanceQuery, last: Instance): string => {
      const content = JSON.stringify([last.name, refKey(last)]);
      return `${Buffer.from(content).toString('base64url')}.${macOf(personId, query, content).toString('base64url')}`;
    },
    read: (personId: string, query: InstanceQuery, cursor: string): { name: string; key: string } => {
      const [content = '', mac = ''] = cursor.split('.');
      const text = Buffer.from(content, 'base64url').toString('utf8');
      const expected = macOf(personId, query, text);
      const given = Buffer.from(mac, 'base64url');
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
        throw new Refusal('invalid_input', { path: 'cursor', message: 'does not belong to this list' });
      }
      const [name, key] = cursorContent.parse(JSON.parse(text));
      return { name, key };
    },
  };
};

export const createInstanceList = (deps: InstanceListDeps): InstanceList => {
  const inventory = createInventoryCopy(deps.db);
  const askable = createAskable(deps);
  const cursors = createCursors(deps.cursorKey);
  return async (person, query) => {
    const { instances: mine, facets } = askable(person, await inventory());
    const found = mine.filter(matches(query));
    if (query.sort === '-name') found.reverse();
    const after = query.cursor === null ? null : cursors.read(person.id, query, query.cursor);
    const comesAfter = (instance: Instance): boolean => {
      if (after === null) return false;
      if (instance.name !== after.name)
        return query.sort === 'name' ? instance.name > after.name : instance.name < after.name;
      return query.sort === 'name' ? refKey(instance) > after.key : refKey(instance) < after.key;
    };
    const rest = after === null ? found : found.filter(comesAfter);
    const items = rest.slice(0, query.limit);
    const last = items.at(-1);
    return {
      items,
      nextCursor: rest.length > items.length && last !== undefined ? cursors.make(person.id, query, last) : null,
      matching: found.length,
      askable: mine.length,
      facets,
    };
  };
};

/** From the click to the prompt, and from the end to nothing left, at the API: main's own modules, no window. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlOf } from '../dev/driver/local-aws-control.ts';
import { openTerminal, type PersonAtApi, personAtApi, until } from '../dev/driver/person-at-api.ts';
import type { Stack } from '../dev/start/stack.ts';
import type { Figure } from './figures.ts';

const rounds = 6;
/** As the built app has it: one bundled file. */
const sessionClient = path.resolve(import.meta.dirname, '../out/session-client/main.js');

/** One whole grant. @returns ms from the click to the prompt, and the receipt's own times after the owner's end. */
const round = async (mira: PersonAtApi) => {
  const instance = await mira.instance('payments-sim-d1');
  const clicked = performance.now();
  const request = await mira.submit(instance, 900);
  const { grant, connection } = await mira.connect(request);
  const terminal = await openTerminal(mira, grant, connection);
  await terminal.prompt();
  const promptMs = performance.now() - clicked;
  const asked = performance.now();
  await mira.backend.end({ grantId: grant.id, comment: null });
  const ended = await mira.grantIn(grant.id, 'ended');
  const toldMs = performance.now() - asked;
  if (ended.state !== 'ended') throw new Error('not ended');
  return { promptMs, toldMs, policyGoneMs: ended.receipt.policyGoneMs, sessionsGoneMs: ended.receipt.sessionsGoneMs };
};

/** @param stack with local-aws' default spreading delay, which is subtracted. */
export const grantTimes = async (stack: Stack): Promise<Figure[]> => {
  const { settings } = await controlOf(stack.localAwsUrl).call('faults');
  const mira = await personAtApi(stack, { userName: 'mira.okafor@harborline.example', sessionClient });
  try {
    await round(mira);
    const measured: Awaited<ReturnType<typeof round>>[] = [];
    const delay = settings.spreadingDelayMs;
    for (let at = 0; at < rounds; at += 1) {
      // The last ending must have spread, or this round would begin on what is left of the last one.
      await sleep(delay + 300);
      measured.push(await round(mira));
    }
    return [
      {
        name: 'click to prompt, at the API',
        unit: 'ms',
        values: measured.map(({ promptMs }) => promptMs - delay),
        note: `a rule says yes; the spreading delay of ${delay} ms is subtracted`,
      },
      { name: 'end by owner to policy gone', unit: 'ms', values: measured.map((one) => one.policyGoneMs) },
      { name: 'end by owner to zero sessions', unit: 'ms', values: measured.map((one) => one.sessionsGoneMs) },
      { name: 'end by owner to told in the app', unit: 'ms', values: measured.map(({ toldMs }) => toldMs) },
    ];
  } finally {
    await mira.close();
  }
};

const crowd = 20;
/** The shortest grant there is. */
const crowdSeconds = 60;

const newcomer = (number: number) => {
  const two = String(number).padStart(2, '0');
  return {
    userName: `bench.${two}@harborline.example`,
    id: `c2c5d4e4-1021-70aa-8b10-1f2e3d4cbe${two}`,
    displayName: `Bench ${two}`,
    email: `bench.${two}@harborline.example`,
    groups: ['payments-engineers', 'curfew-users'],
  };
};

/**
 * Twenty people whose grants end by time at the same instant, each with a session open. IAM's write limit (5 a second for the whole
 * account) is in force, so the last ones cannot be quick.
 */
export const sameInstant = async (stack: Stack): Promise<Figure[]> => {
  const control = controlOf(stack.localAwsUrl);
  const newcomers = Array.from({ length: crowd }, (_, at) => newcomer(at + 1));
  for (const person of newcomers) await control.call('addPerson', person);
  await stack.provision();
  const people: PersonAtApi[] = [];
  try {
    for (const { userName } of newcomers) people.push(await personAtApi(stack, { userName, sessionClient }));
    const requests = await Promise.all(
      people.map(async (person) => ({
        person,
        request: await person.submit(await person.instance('payments-sim-d1'), crowdSeconds),
      })),
    );
    const open = await Promise.all(
      requests.map(async ({ person, request }) => {
        const { grant, connection } = await person.connect(request);
        const terminal = await openTerminal(person, grant, connection);
        return { person, grant, terminal };
      }),
    );
    await Promise.all(open.map(({ terminal }) => terminal.prompt()));
    const ends = open.map(({ grant }) => ('endsAt' in grant ? Date.parse(grant.endsAt) : Number.NaN));
    const apart = Math.max(...ends) - Math.min(...ends);
    const receipts = await Promise.all(
      open.map(async ({ person, grant }) => {
        const ended = await until(`${grant.id} to end`, () => {
          const now = person.overview().grants.find(({ id }) => id === grant.id);
          return now?.state === 'ended' ? now : null;
        });
        return ended.receipt;
      }),
    );
    const note = `${crowd} people, ends within ${apart} ms, a terminal open each, IAM held to 5 writes/s`;
    return [
      {
        name: 'end by time to policy gone, 20 at once',
        unit: 'ms',
        values: receipts.map((one) => one.policyGoneMs),
        note,
      },
      {
        name: 'end by time to zero sessions, 20 at once',
        unit: 'ms',
        values: receipts.map((one) => one.sessionsGoneMs),
        note,
      },
    ];
  } finally {
    await Promise.all(people.map((person) => person.close()));
  }
};

/** Kills a backend at one point of a job, starts another, and looks. */
import { until } from '../driver/person-at-api.ts';
import { beginTrace, broken, type Job, lost } from './job.ts';
import type { Stage } from './stage.ts';

const quietMs = 400;

export type Visit = {
  /** Whether the job came by this point at all: polls come when they come. */
  reached: boolean;
  /** What was not as promised; empty: all was. */
  problems: string[];
};

/** @param point as `Points` tells it; null: the job is only watched from beginning to end. */
export const visit = async (stage: Stage, job: Job, point: string | null): Promise<Visit> => {
  const deaths: Array<Promise<void>> = [];
  let alive = true;
  const trace = await beginTrace(stage, () => alive);
  await job.prepare(stage, trace);
  // What the backend's own start still asks AWS for is not of this job.
  await until('the sweep to be over', () => (stage.points.awsQuietMs() > quietMs ? true : null));
  stage.points.watch(
    (one) => one === point,
    () => {
      alive = false;
      deaths.push(stage.kill());
    },
  );
  const fault = await job.act(stage, trace).then(
    () => null,
    (error: unknown) => error,
  );
  const [death] = deaths;
  if (death === undefined) {
    stage.points.rest();
    if (fault !== null) throw fault;
    return { reached: false, problems: await broken(stage, trace) };
  }
  await death;
  const missing = (await lost(stage, trace)).map((what) => `lost: ${what}`);
  stage.points.rest();
  alive = true;
  await stage.stack.backend.start();
  await job.goOn(stage, trace);
  return { reached: true, problems: [...missing, ...(await broken(stage, trace))] };
};

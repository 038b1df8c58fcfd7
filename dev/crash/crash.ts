/** Visits the points of all jobs, one death each. */
import { type Job, jobs } from './job.ts';
import { openStage, type Stage } from './stage.ts';
import { type Visit, visit } from './visit.ts';

export type CrashOptions = {
  /** Only each Nth point. */
  every: number;
  /** Whether a point of a job is visited here, asked once for each; all are when left out. */
  claim?: (job: string, point: string) => Promise<boolean>;
  /** No further point is visited after this many milliseconds; all of them when left out. */
  withinMs?: number;
  say: (line: string) => void;
  /** Say each point that passed, too. */
  eachPoint: boolean;
};

export type CrashResult = {
  /** At how many points a backend was killed. */
  visited: number;
  failed: Array<{ point: string; problems: string[] }>;
  /** Points that were seen, and that the job did not come by twice: the rhythm of a poll. */
  missed: string[];
};

const shortly = (point: string): string => (point.length > 160 ? `${point.slice(0, 157)}…` : point);

/** One death. A job that cannot be brought to its end is what this looks for, so it counts as a problem of the point. */
const tryVisit = async (stage: Stage, job: Job, point: string): Promise<Visit> => {
  try {
    return await visit(stage, job, point);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { reached: true, problems: [problem] };
  }
};

const crashJob = async (stage: Stage, job: Job, options: CrashOptions & { until: number }): Promise<CrashResult> => {
  stage.points.forget();
  const watched = await visit(stage, job, null);
  if (watched.problems.length > 0) throw new Error(`${job.name}, undisturbed: ${watched.problems.join('; ')}`);
  options.say(`${job.name}: ${stage.points.seen().length} points`);
  const result: CrashResult = { visited: 0, failed: [], missed: [] };
  // The list grows: on the way to its death a job may come by points that it did not come by before, in another order or at another poll.
  for (let at = 0; at < stage.points.seen().length; at += options.every) {
    if (at > 0 && performance.now() > options.until) break;
    const point = stage.points.seen()[at] ?? '';
    if (options.claim !== undefined && !(await options.claim(job.name, point))) continue;
    const first = await tryVisit(stage, job, point);
    const { reached, problems } = first.reached ? first : await tryVisit(stage, job, point);
    if (reached) result.visited += 1;
    else result.missed.push(point);
    if (problems.length > 0) {
      result.failed.push({ point, problems });
      options.say(`FAILED ${at + 1} ${shortly(point)}\n       ${problems.join('\n       ')}`);
    } else if (options.eachPoint) options.say(`${reached ? 'passed' : 'missed'} ${at + 1} ${shortly(point)}`);
  }
  return result;
};

/** Visits the points of every job on a stage of its own. */
export const crash = async (options: CrashOptions): Promise<CrashResult> => {
  const stage = await openStage();
  try {
    const since = performance.now();
    const all: CrashResult = { visited: 0, failed: [], missed: [] };
    for (const [index, job] of jobs.entries()) {
      // What time there is is shared: every job gets its part of it.
      const until = since + ((options.withinMs ?? Number.POSITIVE_INFINITY) * (index + 1)) / jobs.length;
      const { visited, failed, missed } = await crashJob(stage, job, { ...options, until });
      all.visited += visited;
      all.failed.push(...failed);
      all.missed.push(...missed);
    }
    return all;
  } finally {
    await stage.close();
  }
};

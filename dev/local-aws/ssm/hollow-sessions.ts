/** Sessions that are listed and ended like all others, with no shell behind them: crowds of thousands, on one machine. */
import { z } from 'zod';
import { instanceId } from '../../../src/shared/access.ts';
import type { IamState } from '../iam/state.ts';
import { AwsError } from '../service.ts';
import type { World } from '../world.ts';
import { newSessionId, type SessionTable } from './session-table.ts';

const hollowSession = z.strictObject({
  /** Assumed-role ARN of whom it is counted as. */
  owner: z.string().regex(/^arn:aws:sts::\d{12}:assumed-role\/[\w+=,.@-]+\/[\w+=,.@-]+$/),
  target: instanceId,
  documentName: z.string(),
  maxSessionMinutes: z.int().min(1).max(1440),
});
export const hollowSessions = z.strictObject({ sessions: z.array(hollowSession).max(1000) });

/** @returns their ids, in the order they were named. @throws AwsError NotFound: the role or the instance is not there. */
export const addHollowSessions = (
  { world, iam, sessions, now }: { world: World; iam: IamState; sessions: SessionTable; now: () => Date },
  crowd: z.input<typeof hollowSessions>,
): string[] =>
  hollowSessions.parse(crowd).sessions.map(({ owner, target, documentName, maxSessionMinutes }) => {
    const [, , , , accountId = '', path = ''] = owner.split(':');
    const [, roleName = '', sessionName = ''] = path.split('/');
    const role = iam.role(accountId, roleName);
    const instance = world.instances.find((one) => one.id === target && one.account === accountId);
    if (role === undefined || instance === undefined) {
      throw new AwsError('NotFound', `There is no role ${roleName}, or no instance ${target}, in ${accountId}.`, 404);
    }
    const sessionId = newSessionId(sessionName);
    sessions.add({
      sessionId,
      accountId,
      region: instance.region,
      target,
      documentName,
      owner,
      ownerUserId: `${role.id}:${sessionName}`,
      reason: null,
      maxSessionMinutes,
      startedAt: now(),
      phase: 'open',
      endedAt: null,
      details: null,
      failed: false,
      everConnected: true,
    });
    return sessionId;
  });

/** How the official session-manager-plugin is started (ssm-protocol 1): the session by environment, nothing secret in argv. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { Refusal } from '../../shared/refusal.ts';
import type { StartedSession } from '../aws/personal-role.ts';
import type { RequesterCredentials } from '../ports.ts';

/** The plugin reads the session from a variable whose name starts so, since 1.2.497.0; AWS supports 1.2.764.0 and newer. */
const responseVariable = 'AWS_SSM_START_SESSION_RESPONSE_CURFEW';
const oldestSupported = [1, 2, 764, 0];

const isOlder = (version: string): boolean => {
  const parts = version.split('.').map(Number);
  for (const [at, least] of oldestSupported.entries()) {
    const part = parts[at] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
};

/**
 * Checks the plugin that a person chose: an absolute path, theirs or root's, not writable by others, new enough.
 * @throws Refusal `invalid_input` that says what is wrong with it.
 */
export const checkedPlugin = (path: string | null): string => {
  const refuse = (message: string, cause?: unknown): Refusal =>
    new Refusal('invalid_input', { path: 'officialPluginPath', message, ...(cause === undefined ? {} : { cause }) });
  if (path === null || !isAbsolute(path)) throw refuse('is not an absolute path to session-manager-plugin');
  try {
    accessSync(path, constants.X_OK);
  } catch (cause) {
    throw refuse('names no program that can be started', cause);
  }
  const { mode, uid } = statSync(path);
  if (process.platform !== 'win32' && ((mode & 0o022) !== 0 || (uid !== 0 && uid !== process.getuid?.()))) {
    throw refuse('may be changed by other users of this computer');
  }
  const version = execFileSync(path, ['--version'], { timeout: 5_000, encoding: 'utf8', env: {} }).trim();
  if (!/^\d+(\.\d+){0,3}$/.test(version) || isOlder(version)) {
    throw refuse(`is version ${version.slice(0, 20)}; AWS supports ${oldestSupported.join('.')} and newer`);
  }
  return path;
};

/** Argv and environment for one session. The credentials are for signing the data channel and for resuming. */
export const pluginCommand = (options: {
  path: string;
  session: StartedSession;
  region: string;
  target: string;
  credentials: RequesterCredentials;
  ssmEndpoint: string | null;
}): { command: string; args: string[]; env: Record<string, string> } => {
  const { session, region, target, credentials } = options;
  const endpoint = options.ssmEndpoint ?? `https://ssm.${region}.amazonaws.com`;
  return {
    command: options.path,
    args: [responseVariable, region, 'StartSession', '', JSON.stringify({ Target: target }), endpoint],
    env: {
      [responseVariable]: JSON.stringify({
        SessionId: session.sessionId,
        TokenValue: session.tokenValue,
        StreamUrl: session.streamUrl,
      }),
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_SESSION_TOKEN: credentials.sessionToken,
    },
  };
};

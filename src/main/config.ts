/**
 * What the machine's administrators and the developer set from outside: the only reader of the environment. Managed settings fix the
 * organisation; AWS endpoint overrides are allowed towards this machine or AWS only, and are shown all the time (threats APP-04, APP-05).
 */
import { z } from 'zod';
import { type Organisation, organisation } from '../shared/desktop.ts';

export type Config = {
  /** Managed settings; null: the person enters the organisation on first run. */
  organisation: Organisation | null;
  /** Endpoint overrides in force, in words: `AWS_ENDPOINT_URL = http://127.0.0.1:4566`. */
  notAws: string[];
};

/** The environment says something that Curfew will not start with. */
export class ConfigProblem extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'ConfigProblem';
  }
}

const managed = z.object({
  CURFEW_BACKEND_URL: z.string().optional(),
  CURFEW_START_URL: z.string().optional(),
  CURFEW_SSO_REGION: z.string().optional(),
});

const loopbackHosts = new Set(['127.0.0.1', 'localhost', '[::1]']);
const awsHost = /(^|\.)(amazonaws\.com|amazonaws\.com\.cn|api\.aws|awsapps\.com)$/;

const isAllowedEndpoint = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return false;
  if (loopbackHosts.has(url.hostname)) return url.protocol === 'http:' || url.protocol === 'https:';
  return url.protocol === 'https:' && awsHost.test(url.hostname);
};

const endpointOverrides = (env: NodeJS.ProcessEnv): string[] =>
  Object.entries(env)
    .filter(([name, value]) => /^AWS_ENDPOINT_URL(_[A-Z0-9_]+)?$/.test(name) && value !== undefined && value !== '')
    .map(([name, value = '']) => {
      if (!isAllowedEndpoint(value)) {
        throw new ConfigProblem(
          `${name} points neither to this computer nor to AWS. Take it out and start Curfew again.`,
        );
      }
      return `${name} = ${value}`;
    })
    .sort();

const managedOrganisation = (env: NodeJS.ProcessEnv): Organisation | null => {
  const { CURFEW_BACKEND_URL, CURFEW_START_URL = '', CURFEW_SSO_REGION = '' } = managed.parse(env);
  const given = [CURFEW_BACKEND_URL, CURFEW_START_URL, CURFEW_SSO_REGION].filter((value) => value);
  if (given.length === 0) return null;
  const read = organisation.safeParse({
    backendUrl: CURFEW_BACKEND_URL,
    startUrl: CURFEW_START_URL,
    ssoRegion: CURFEW_SSO_REGION,
  });
  if (!read.success) {
    throw new ConfigProblem(
      'Managed settings need all of CURFEW_BACKEND_URL, CURFEW_START_URL and CURFEW_SSO_REGION; the first alone where people sign in with an AWS profile.',
    );
  }
  return read.data;
};

/** Nothing may talk the app into a connection whose other end has not proved who it is (threats API-09). */
const checkCertificates = (env: NodeJS.ProcessEnv): void => {
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] !== '0') return;
  throw new ConfigProblem(
    'NODE_TLS_REJECT_UNAUTHORIZED switches off the check of certificates. Take it out and start Curfew again; for an authority of your own set NODE_EXTRA_CA_CERTS.',
  );
};

/** @throws ConfigProblem with a sentence for the person. */
export const readConfig = (env: NodeJS.ProcessEnv): Config => {
  checkCertificates(env);
  return { organisation: managedOrganisation(env), notAws: endpointOverrides(env) };
};

/** The environment of this process. */
export const processEnvironment = (): NodeJS.ProcessEnv => process.env;

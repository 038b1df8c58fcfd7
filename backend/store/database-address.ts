/** Which Postgres addresses Curfew talks to: one on this machine, or one that proves who it is (threats API-15). */
import pg from 'pg';

/**
 * What is wrong with an address, in words for whoever set it up; null when nothing is. On this machine means a unix socket or a loopback
 * host. Beyond it only `sslmode=verify-full` will do: every other mode gives the rows, and the password, to whoever answers in the
 * server's place.
 * @param url as node-postgres takes it; what it leaves out comes from the PG… variables of the environment, as everywhere.
 */
export const databaseAddressProblem = (url: string): string | null => {
  // The driver itself says where it would connect to: it takes hosts from the path, a parameter or the environment.
  const { host } = new pg.Client({ connectionString: url });
  if (host.startsWith('/') || ['127.0.0.1', '::1', 'localhost'].includes(host)) return null;
  // Of a parameter that stands there twice it takes the last.
  const mode = URL.parse(url)?.searchParams.getAll('sslmode').at(-1);
  if (mode === 'verify-full') return null;
  const said = mode === undefined ? 'names no sslmode' : `says sslmode=${mode.slice(0, 20)}`;
  return `The address of the database on ${host} ${said}: beyond this machine it must be sslmode=verify-full.`;
};

/** @throws Error for an address that Curfew does not connect to, before anything is sent. */
export const assertDatabaseAddress = (url: string): void => {
  const problem = databaseAddressProblem(url);
  if (problem !== null) throw new Error(problem);
};

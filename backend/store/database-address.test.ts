import { expect, test, vi } from 'vitest';
import { databaseAddressProblem } from './database-address.ts';
import { openStore, readSchemaState } from './open.ts';

test.each([
  'postgres://curfew@localhost/curfew?host=%2Ftmp%2Fcurfew-pg-x',
  'postgres://curfew@%2Fvar%2Frun%2Fpostgresql/curfew',
  'socket:/var/run/postgresql?db=curfew',
  'postgres://curfew:p%40ss@127.0.0.1:5432/curfew',
  'postgres://curfew@localhost/curfew',
  'postgres://curfew@[::1]/curfew?sslmode=disable',
  'postgres://curfew@db.example.com:5432/curfew?sslmode=verify-full',
  'postgres://curfew@db.example.com/curfew?sslmode=disable&sslmode=verify-full',
  'postgres://curfew@localhost/curfew?host=db.example.com&sslmode=verify-full',
])('API-15 %s is a database on this machine, or one that proves who it is', (url) => {
  expect(databaseAddressProblem(url)).toBeNull();
});

test.each([
  ['postgres://curfew:canary@db.example.com/curfew', 'names no sslmode'],
  ['postgres://curfew@10.0.0.7/curfew?sslmode=disable', 'sslmode=disable'],
  ['postgres://curfew@db.example.com/curfew?sslmode=prefer', 'sslmode=prefer'],
  ['postgres://curfew@db.example.com/curfew?sslmode=require', 'sslmode=require'],
  ['postgres://curfew@db.example.com/curfew?sslmode=no-verify', 'sslmode=no-verify'],
  ['postgres://curfew@db.example.com/curfew?sslmode=verify-ca&sslrootcert=/dev/null', 'sslmode=verify-ca'],
  ['postgres://curfew@db.example.com/curfew?sslmode=verify-full&sslmode=no-verify', 'sslmode=no-verify'],
  ['postgres://curfew@db.example.com/curfew?sslmode=VERIFY-FULL', 'sslmode=VERIFY-FULL'],
  ['postgres://curfew@localhost/curfew?host=db.example.com', 'on db.example.com names no sslmode'],
  ['postgres://curfew@127.0.0.1.evil.example/curfew', 'names no sslmode'],
  ['postgres://curfew@db.example.com/curfew?ssl=true', 'names no sslmode'],
])('API-15 %s is refused, and no password is said', async (url, said) => {
  const problem = databaseAddressProblem(url) ?? '';
  expect(problem).toContain(said);
  expect(problem).not.toContain('canary');
  const opened = () => {
    throw new Error('a connection was tried');
  };
  await expect(openStore(url, opened)).rejects.toThrow(problem);
  await expect(readSchemaState(url)).rejects.toThrow(problem);
});

test('API-15 a host that only the environment names counts too', () => {
  vi.stubEnv('PGHOST', 'db.example.com');
  try {
    expect(databaseAddressProblem('postgres:///curfew')).toContain('db.example.com');
  } finally {
    vi.unstubAllEnvs();
  }
});

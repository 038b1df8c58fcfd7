/**
 * `DATABASE_URL=… npm run migrate`: brings the database to this version's shape with its owner's rights, where the backend itself has
 * none to do so (deploy/postgres.sql). Exit code 0 when there is nothing left to do.
 */
import { databaseUrlOf } from '../config.ts';
import { openStore, readSchemaState } from './open.ts';

const main = async (): Promise<number> => {
  const url = databaseUrlOf({});
  if (url === null) {
    console.error('Set DATABASE_URL to the address of the database, as its owner.');
    return 2;
  }
  const store = await openStore(url, (error) => console.error(error.message));
  await store.close();
  const { postgres } = await readSchemaState(url);
  console.log(
    `Postgres ${postgres}: at this version’s shape. Run deploy/postgres.sql again, so that new tables get their rights.`,
  );
  return 0;
};

try {
  process.exitCode = await main();
} catch (error) {
  const cause = error instanceof Error && error.cause instanceof Error ? ` ${error.cause.message}` : '';
  console.error(`${error instanceof Error ? error.message : String(error)}${cause}`);
  process.exitCode = 1;
}

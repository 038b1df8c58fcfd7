/** AWS's rates go on when the database's clock was set back (decision 9). The same function with the same answer: older backends use it too. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
create or replace function take_budget(which text, wanted integer, kept double precision, per_second double precision, burst double precision)
returns table (taken integer, wait_ms double precision) language plpgsql as $$
declare
  had budgets;
  clock timestamptz;
  seconds double precision;
  share_now double precision;
  filled double precision;
begin
  insert into budgets (name, tokens, filled_at) values (which, burst, clock_timestamp()) on conflict do nothing;
  select * into had from budgets where name = which for update;
  -- Read with the row locked, so it is behind filled_at only when somebody set it back: then it is filled from here on. To wait until the
  -- clock has come to where it was would let no call out for as long as it was set back.
  clock := clock_timestamp();
  seconds := greatest(0, extract(epoch from clock - had.filled_at));
  share_now := least(1, had.share + seconds / 20);
  filled := least(burst, had.tokens + seconds * per_second * share_now);
  taken := greatest(0, least(wanted, floor(filled - kept)::integer));
  wait_ms := greatest(0, (1 + kept - (filled - taken)) * 1000 / (per_second * share_now));
  update budgets set tokens = filled - taken, share = share_now, filled_at = clock where name = which;
  return next;
end $$;
`)
    .execute(db);
};

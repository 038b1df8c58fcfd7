/** Many rows into one table, a thousand at a time. */
import type pg from 'pg';

export type Row = Record<string, string | number | boolean | object | null>;

const rowsAtOnce = 1_000;

/** Rows of one table must have the same columns in the same order, or leave out the same ones. Call `flush` at the end. */
export const tableWriter = (client: pg.Client, table: string) => {
  let rows: Row[] = [];
  const flush = async (): Promise<void> => {
    if (rows.length === 0) return;
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    await client.query(
      `insert into ${table} (${columns.join(', ')}) select ${columns.join(', ')} from json_populate_recordset(null::${table}, $1)`,
      [JSON.stringify(rows)],
    );
    rows = [];
  };
  return {
    add: async (row: Row): Promise<void> => {
      rows.push(row);
      if (rows.length >= rowsAtOnce) await flush();
    },
    flush,
  };
};

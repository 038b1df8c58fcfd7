/** Principals of tests that are no personal roles. */
import type { Db } from '../../store/open.ts';

/** Another principal than the person's role in `prod`. */
export type OtherPrincipal = {
  id: string;
  arn: string;
  accountId: string;
  personId: string | null;
  kind: 'user' | 'group';
  name: string;
  /** Which of the person's principals in the account it is; the first when left out. */
  slot?: number;
};

/** Puts its row where there is none yet. */
export const putPrincipal = async (db: Db, { accountId, personId, ...row }: OtherPrincipal): Promise<void> => {
  await db
    .insertInto('principals')
    .values({
      ...row,
      account_id: accountId,
      person_id: personId,
      carrier: 'inline',
      session_name: row.name,
      document_hash: null,
      document_at: null,
      due_at: null,
      problem: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};

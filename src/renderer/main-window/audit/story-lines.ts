/** The story's and the receipt's lines. Pure. */
import type { Grant, Receipt } from '../../../shared/access.ts';
import type { AuditRow } from '../../../shared/views.ts';
import { measuredWords } from '../../look/time.ts';
import { count } from '../../look/words.ts';

export type Tone = 'ask' | 'ok' | 'time' | 'no' | 'plain';

const tones: Array<[RegExp, Tone]> = [
  [/(denied|failed|refus|found|mismatch|unexpected|terminated)/u, 'no'],
  [/(ended|sealed|approved|verified|gone)/u, 'ok'],
  [/(connect|active|activated|extend|ending|end-reached|granting)/u, 'time'],
  [/(request|submitted|decision|claim|waiting|rule)/u, 'ask'],
];

/** Which dot an event gets: by the words of its kind, so that a kind unknown to this version is plain, not hidden. */
export const toneOf = (kind: string): Tone => tones.find(([pattern]) => pattern.test(kind))?.[1] ?? 'plain';

/** A line without a value is a plain statement. */
export type ReceiptLine = { what: string; value: string | null; strong: boolean };

/** A receipt as its printed lines: measured times after the instant at which the grant should have ended. */
export const receiptLines = (receipt: Receipt): ReceiptLine[] => {
  const verified = Math.max(receipt.policyGoneMs, receipt.sessionsGoneMs);
  return [
    { what: 'read back: access policy gone', value: measuredWords(receipt.policyGoneMs), strong: false },
    { what: `${count(receipt.sessionsTerminated.length, 'session')} terminated`, value: null, strong: false },
    { what: 'looked again: sessions gone', value: measuredWords(receipt.sessionsGoneMs), strong: false },
    ...(receipt.stays === undefined || receipt.stays.length === 0
      ? []
      : [
          {
            what: `${count(receipt.stays.length, 'instance')} still reachable by another access: not part of this`,
            value: null,
            strong: false,
          },
        ]),
    { what: 'VERIFIED', value: measuredWords(verified), strong: true },
    {
      what:
        receipt.stage === 'sealed'
          ? `sealed after ${count(receipt.looks, 'look')}`
          : `${count(receipt.looks, 'look')}, looking on for 90 s`,
      value: receipt.sealedAt === null ? 'not sealed yet' : 'nothing more found',
      strong: false,
    },
  ];
};

/** The first characters of a hash, in groups of four. */
export const hashWords = (hash: string): string => (hash.slice(0, 16).match(/.{1,4}/gu) ?? []).join(' ');

/** Grants of a story that have a receipt. */
export const withReceipt = (grants: Grant[]): Extract<Grant, { state: 'ended' }>[] =>
  grants.filter((grant) => grant.state === 'ended');

/** "approved", "grant ended": an event's kind in words. */
export const kindWords = (kind: string): string => kind.replaceAll(/[._-]+/gu, ' ');

/** Kinds met in these rows, for the filter; sorted. */
export const kindsOf = (rows: AuditRow[]): string[] => [...new Set(rows.map((row) => row.kind))].sort();

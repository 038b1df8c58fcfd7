/** Text that people type: normalised and bounded before anything else sees it (threats RQ-15). */
import { z } from 'zod';
import { limits } from './limits.ts';

// C0 and C1 controls, line and paragraph separators, bidi overrides and isolates, zero-width and BOM.
const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]/u;

/** One line of plain text: NFC, trimmed, no controls and no direction overrides. Length in code points. */
const oneLine = (max: number) =>
  z
    .string()
    .max(max * 4)
    .transform((text) => text.normalize('NFC').trim())
    .refine((text) => !unprintable.test(text), {
      message: 'has characters that cannot be shown: control characters, line breaks or direction marks',
    })
    .refine((text) => [...text].length <= max, { message: `is longer than ${max} characters` });

export const reasonText = oneLine(limits.reasonCharacters).refine((text) => text.length > 0, {
  message: 'is empty: say in one line what the access is for',
});

/** A comment on a decision or an ending; may be empty. */
export const commentText = oneLine(limits.reasonCharacters);

/** Ticket ids only: links are built by us from a configured address (threats API-12). */
export const ticketId = z.string().regex(/^[A-Z][A-Z0-9]{1,9}-[0-9]{1,8}$/, {
  message: 'is not a ticket id like PAY-2291',
});

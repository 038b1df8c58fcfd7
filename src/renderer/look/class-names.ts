/** Joins the class names that are there: `false`, `null` and what a style sheet does not have are left out. */
export const cx = (...names: Array<string | false | null | undefined>): string => names.filter(Boolean).join(' ');

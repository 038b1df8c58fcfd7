/** Is a dialog, a popover, a menu or the palette open? Then Escape belongs to it, and no page may act on the same key. */
export const somethingAbove = (): boolean =>
  document.querySelector('[role="dialog"], [role="menu"], [aria-modal="true"]') !== null;

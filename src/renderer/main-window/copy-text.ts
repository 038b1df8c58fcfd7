/**
 * Copies text from a click. The older way on purpose: the asynchronous clipboard needs a permission, and the main
 * process denies every permission (threats APP-10). True when the browser says that it was copied.
 */
export const copyText = (text: string): boolean => {
  const field = document.createElement('textarea');
  field.value = text;
  field.setAttribute('aria-hidden', 'true');
  field.style.position = 'fixed';
  field.style.opacity = '0';
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
};

/**
 * Switches of Chromium that would open the app to other programs and that no fuse covers (threats APP-12). The packaged app exits
 * when one is present; development and tests start the unpacked build and need some of them.
 */
const names = [
  'remote-debugging-port',
  'remote-debugging-pipe',
  'remote-debugging-address',
  'remote-allow-origins',
  'no-sandbox',
  'disable-web-security',
  'load-extension',
  'host-resolver-rules',
  'host-rules',
  'proxy-server',
  'proxy-pac-url',
  'ignore-certificate-errors',
  'ignore-certificate-errors-spki-list',
  'js-flags',
  'allow-file-access-from-files',
  'inspect',
  'inspect-brk',
  'disable-site-isolation-trials',
  'ssl-key-log-file',
  'user-agent',
] as const;

/** The first dangerous switch of a command line, without its dashes; null when there is none. */
export const dangerousSwitch = (argv: readonly string[]): string | null => {
  for (const argument of argv) {
    const [, name = ''] = /^-{1,2}([^=]+)/.exec(argument.toLowerCase()) ?? [];
    if (names.some((known) => known === name) || name.endsWith('-launcher') || name.endsWith('-cmd-prefix'))
      return name;
  }
  return null;
};

import { describe, expect, it } from 'vitest';
import {
  active,
  endingState,
  grant,
  instance,
  jonas,
  minutes,
  mira,
  noon,
  overview,
  snapshot,
  waiting,
} from './testing/snapshots.ts';
import { trayIcon } from './tray-icon.ts';
import { menuText, type TrayItem, trayFace, trayMenu } from './tray-menu.ts';

const labels = (items: TrayItem[]): string[] => items.map((item) => (item.kind === 'line' ? '—' : item.label));
const open = (items: TrayItem[], label: string): TrayItem[] => {
  const found = items.find((item) => item.kind === 'more' && item.label === label);
  if (found?.kind !== 'more') throw new Error(`no submenu "${label}" in ${labels(items).join(' | ')}`);
  return found.items;
};

const busy = snapshot({
  overview: overview({
    grants: [
      grant('g-ready', ['edge-proxy-1', 'edge-proxy-2'], { state: 'ready', activateBy: noon.toISOString() }, 3600),
      grant('g-api', ['payments-api-1'], active(102 * minutes)),
      grant('g-recon', ['payments-recon-1'], active(9.5 * minutes)),
      grant('g-search', ['search-index-3'], endingState),
    ],
    toDecide: [waiting('r1', jonas, 'payments-api-s2')],
    requests: [waiting('r2', mira, 'payments-ledger-db-1')],
  }),
});

describe('the tray menu', () => {
  it('has time first, ending before all, then the nearest end, then what is ready', () => {
    expect(labels(trayMenu(busy, noon)).slice(0, 10)).toEqual([
      'Mira Okafor, Harborline',
      '—',
      'Ending, search-index-3',
      '9 min, payments-recon-1',
      '1 h 42 m, payments-api-1',
      'Ready 1 h, edge-proxy-1 and 1 more',
      '—',
      '1 request waits for you',
      '1 of yours waits for a yes',
      '—',
    ]);
  });

  it('connects to the one instance, or asks which of several', () => {
    const one = open(trayMenu(busy, noon), '1 h 42 m, payments-api-1');
    const { accountId, region, instanceId } = instance('payments-api-1');
    expect(one).toContainEqual({
      kind: 'do',
      label: 'Connect',
      wish: { kind: 'connect', grantId: 'g-api', instance: { accountId, region, instanceId } },
    });
    const several = open(open(trayMenu(busy, noon), 'Ready 1 h, edge-proxy-1 and 1 more'), 'Connect');
    expect(labels(several)).toEqual(['edge-proxy-1', 'edge-proxy-2']);
  });

  it('never ends anything by itself: ending goes to where it is asked', () => {
    const items = open(trayMenu(busy, noon), '1 h 42 m, payments-api-1');
    expect(items).toContainEqual({ kind: 'do', label: 'End now…', wish: { kind: 'go', place: 'access', id: 'g-api' } });
    expect(JSON.stringify(trayMenu(busy, noon))).not.toContain('"kind":"end"');
  });

  it('offers no extension of what has not begun', () => {
    expect(labels(open(trayMenu(busy, noon), 'Ready 1 h, edge-proxy-1 and 1 more')).join()).not.toContain('Extend');
    expect(labels(open(trayMenu(busy, noon), '9 min, payments-recon-1'))).toContain('Extend by 30 min');
  });

  it('lists the same instances once to request again, favourites first', () => {
    const requests = [waiting('r1', mira, 'a'), waiting('r2', mira, 'a'), waiting('r3', mira, 'b')];
    const { accountId, region, instanceId } = instance('b');
    const state = snapshot({ favourites: [{ accountId, region, instanceId }], overview: overview({ requests }) });
    expect(labels(open(trayMenu(state, noon), 'Request again'))).toEqual(['b', '—', 'a, 1 h', 'b, 1 h']);
  });

  it('says "about" when the clock was not checked for a minute, and that ending holds when the backend is away', () => {
    const later = new Date(noon.getTime() + 61_000);
    const away = { ...busy, backend: { state: 'unreachable', lastOkAt: null, what: 'backend x' } as const };
    expect(labels(trayMenu(away, later))).toContain('about 1 h 40 m, payments-api-1');
    expect(labels(trayMenu(away, later))).toContain('Backend out of reach; access still ends on time');
  });

  it('counts by the backend clock', () => {
    const ahead = { ...busy, clock: { offsetMs: 5 * minutes, checkedAt: noon.toISOString() } };
    expect(labels(trayMenu(ahead, noon))).toContain('4 min, payments-recon-1');
  });

  it.each([
    ['Quit & delete', 'Quit && delete'],
    ['two\nlines\r\nand\ttabs', 'two lines and tabs'],
    ['\u202egnp.exe', 'gnp.exe'],
    ['\u001b[31mred', '[31mred'],
    ['x'.repeat(500), `${'x'.repeat(79)}…`],
  ])('APP-08 shows %j as plain text', (name, shown) => {
    expect(menuText(name)).toBe(shown);
  });

  it('APP-08 cleans names in every place of the menu', () => {
    const hostile = 'a\u202e&\nb';
    const state = snapshot({
      overview: overview({
        grants: [grant('g', [hostile], active(30 * minutes)), grant('h', [hostile, hostile], active(40 * minutes))],
        toDecide: [waiting('r', { ...jonas, displayName: hostile }, hostile)],
        requests: [waiting('s', mira, hostile)],
      }),
    });
    const all = (items: TrayItem[]): string[] =>
      items.flatMap((item) =>
        item.kind === 'line' ? [] : [item.label, ...(item.kind === 'more' ? all(item.items) : [])],
      );
    for (const label of all(trayMenu(state, noon))) {
      expect(label).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(label.replaceAll('&&', '')).not.toContain('&');
    }
  });
});

describe('the tray icon and its text', () => {
  const faceWith = (msLeft: number) =>
    trayFace(snapshot({ overview: overview({ grants: [grant('g', ['x'], active(msLeft))] }) }), noon);

  it.each([
    [102 * minutes, 'live', '1 h 42 m'],
    [10 * minutes + 1, 'live', '10 min'],
    [10 * minutes, 'soon', '10 min'],
    [4 * minutes, 'soon', '4 min'],
    [58_900, 'last', '58 s'],
    [0, 'ending', 'ending'],
  ])('with %i ms left is %s and says %s', (msLeft, picture, text) => {
    expect(faceWith(msLeft)).toMatchObject({ picture, text, toolTip: `Curfew: ${text}` });
  });

  it('shows what waits, and that a sign-in is needed, but live access before that', () => {
    expect(trayFace(busy, noon)).toMatchObject({ waits: true, toolTip: 'Curfew: 9 min, 1 waiting for you' });
    const again = { state: 'again', person: mira, why: 'x' } as const;
    expect(trayFace(snapshot({ signIn: again }), noon).picture).toBe('sign-in');
    expect(trayFace({ ...busy, signIn: again }, noon).picture).toBe('soon');
    expect(trayFace(snapshot(), noon)).toMatchObject({ picture: 'none', text: '', waits: false });
  });

  it('is a PNG of 22 and 44 pixels, another one for each state', () => {
    const pictures = (['none', 'live', 'soon', 'last', 'ending', 'sign-in'] as const).map((picture) =>
      trayIcon({ picture, waits: false, scheme: 'dark' }),
    );
    expect(new Set(pictures.map(({ normal }) => normal.toString('base64'))).size).toBe(6);
    const [first] = pictures;
    expect(first?.normal.subarray(1, 4).toString('latin1')).toBe('PNG');
    expect([first?.normal.readUInt32BE(16), first?.double.readUInt32BE(16)]).toEqual([22, 44]);
  });
});

/**
 * With a display, a small window stands for the tray: icon, text, menu and notifications as a list, kept in step. It is
 * a page for a person and no window of the application.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { app } from './app.ts';
import { factsAt, isFacts, textAt } from './chromium.ts';
import { desktopChanges, type Menu, Notification, Tray } from './native.ts';
import { launcherOf } from './targets.ts';

type Item = { label: string; type: string; enabled: boolean; path: number[]; items: Item[] };

const itemsOf = (menu: Menu | null | undefined, at: number[]): Item[] =>
  (menu?.items ?? []).flatMap((item, index) => {
    const here = [...at, index];
    const { type, enabled } = item;
    // Native menus show a doubled & as one.
    const label = item.label.replaceAll('&&', '&');
    return item.visible ? [{ label, type, enabled, path: here, items: itemsOf(item.submenu, here) }] : [];
  });

const pictureOf = (image: unknown): string => {
  if (!isFacts(image) || typeof image['toDataURL'] !== 'function') return '';
  const url: unknown = image['toDataURL']();
  return typeof url === 'string' ? url : '';
};

const clickAt = (tray: Tray, at: unknown[]): void => {
  let menu: Menu | null | undefined = tray.contextMenu;
  for (const [depth, index] of at.entries()) {
    const item: Menu['items'][number] | undefined = typeof index === 'number' ? menu?.items[index] : undefined;
    if (depth === at.length - 1) item?.click();
    menu = item?.submenu;
  }
};

/** Opens the tray window and keeps it in step until the application ends. */
export const openTrayWindow = async (): Promise<void> => {
  const { chromium } = app;
  const session = await launcherOf(chromium);
  if (session === null) return;
  const picture = () => {
    const [tray] = Tray.all;
    return {
      app: app.getName(),
      icon: pictureOf(tray?.image),
      text: [tray?.title, tray?.toolTip].filter((part) => part).join(' · '),
      items: itemsOf(tray?.contextMenu, []),
      notifications: Notification.shown.slice(-8).map(({ title, body }, index) => ({ title, body, index })),
    };
  };
  const draw = () => {
    const expression = `globalThis.draw?.(${JSON.stringify(picture())})`;
    // The person closed the tray window: the application lives on without it.
    chromium.send(session, 'Runtime.evaluate', { expression }).catch(() => undefined);
  };
  chromium.listen(session, 'Runtime.bindingCalled', (params) => {
    const wish: unknown = JSON.parse(textAt(params, 'payload'));
    if (!isFacts(wish)) return;
    const [tray] = Tray.all;
    if (tray !== undefined && Array.isArray(wish['path'])) clickAt(tray, wish['path']);
    if (typeof wish['notification'] === 'number') Notification.shown.slice(-8)[wish['notification']]?.emit('click', {});
  });
  await chromium.send(session, 'Page.enable');
  await chromium.send(session, 'Runtime.enable');
  await chromium.send(session, 'Runtime.addBinding', { name: 'wish' });
  const frameId = textAt(
    factsAt(factsAt(await chromium.send(session, 'Page.getFrameTree'), 'frameTree'), 'frame'),
    'id',
  );
  const html = readFileSync(path.join(import.meta.dirname, 'page', 'tray.html'), 'utf8');
  await chromium.send(session, 'Page.setDocumentContent', { frameId, html });
  desktopChanges.on('changed', draw);
  draw();
};

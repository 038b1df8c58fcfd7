/** The tray: draws `tray-menu.ts` with Electron's own menu, and only when something in it has changed. */
import { Menu, type MenuItemConstructorOptions, nativeImage, nativeTheme, Tray } from 'electron';
import type { AppState } from '../shared/desktop.ts';
import { type TrayIconWish, trayIcon } from './tray-icon.ts';
import { type TrayItem, type TrayWish, trayFace, trayMenu } from './tray-menu.ts';

const iconOf = (wish: TrayIconWish) => {
  const { normal, double } = trayIcon(wish);
  const image = nativeImage.createFromBuffer(normal, { scaleFactor: 1 });
  image.addRepresentation({ scaleFactor: 2, buffer: double });
  if (wish.scheme === 'template') image.setTemplateImage(true);
  return image;
};

const templateOf = (item: TrayItem, act: (wish: TrayWish) => void): MenuItemConstructorOptions => {
  if (item.kind === 'line') return { type: 'separator' };
  if (item.kind === 'text') return { label: item.label, enabled: false };
  if (item.kind === 'more') {
    return { label: item.label, submenu: item.items.map((inner) => templateOf(inner, act)) };
  }
  const { label, wish, accelerator } = item;
  return { label, click: () => act(wish), ...(accelerator === undefined ? {} : { accelerator }) };
};

export type TrayIcon = {
  /** Draws the snapshot as of now; cheap when nothing in the tray changes. */
  draw(state: AppState, now: Date): void;
  destroy(): void;
};

/** Puts the icon into the tray. `act` carries out what a person chose. */
export const createTray = (act: (wish: TrayWish) => void, platform: NodeJS.Platform): TrayIcon => {
  const scheme = (): TrayIconWish['scheme'] => {
    if (platform === 'darwin') return 'template';
    return nativeTheme.shouldUseDarkColors ? 'dark' : 'light';
  };
  const tray = new Tray(iconOf({ picture: 'none', waits: false, scheme: scheme() }));
  // A click shows the window where the desktop gives clicks to icons; macOS opens the menu by itself.
  if (platform !== 'darwin') tray.on('click', () => act({ kind: 'open' }));
  let drawnIcon = '';
  let drawnMenu = '';
  return {
    draw(state, now) {
      const face = trayFace(state, now);
      const wish: TrayIconWish = { picture: face.picture, waits: face.waits, scheme: scheme() };
      const icon = JSON.stringify(wish);
      if (icon !== drawnIcon) tray.setImage(iconOf(wish));
      drawnIcon = icon;
      const items = trayMenu(state, now);
      const menu = JSON.stringify([items, face.text, face.toolTip]);
      if (menu === drawnMenu) return;
      drawnMenu = menu;
      tray.setToolTip(face.toolTip);
      if (platform === 'darwin') tray.setTitle(face.text);
      tray.setContextMenu(Menu.buildFromTemplate(items.map((item) => templateOf(item, act))));
    },
    destroy: () => tray.destroy(),
  };
};

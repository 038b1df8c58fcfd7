/**
 * What `electron` means to the main process on the stand-in: the part of Electron's API that the application uses. It
 * proves our code, not Electron's own sandbox, tray or native ABI.
 */
import { app } from './app.ts';
import { BrowserWindow, webContents } from './browser-window.ts';
import {
  clipboard,
  dialog,
  globalShortcut,
  Menu,
  MenuItem,
  Notification,
  nativeImage,
  nativeTheme,
  powerMonitor,
  safeStorage,
  screen,
  shell,
  Tray,
} from './native.ts';
import { openTrayWindow } from './tray-window.ts';
import { defaultSession, ipcMain } from './web-contents.ts';

const session = { defaultSession, fromPartition: () => defaultSession };

app.on('web-contents-created', (_event, contents) => contents.once('dom-ready', () => nativeTheme.applyToAll()));
app.once('ready', () => {
  if (!app.headed) return;
  openTrayWindow().catch((error) => process.stderr.write(`electron stand-in: no tray window: ${error}\n`));
});

const electron: Record<string, unknown> = {
  app,
  BrowserWindow,
  clipboard,
  dialog,
  globalShortcut,
  ipcMain,
  Menu,
  MenuItem,
  Notification,
  nativeImage,
  nativeTheme,
  powerMonitor,
  safeStorage,
  screen,
  session,
  shell,
  Tray,
  webContents,
};

export {
  app,
  BrowserWindow,
  clipboard,
  dialog,
  globalShortcut,
  ipcMain,
  Menu,
  MenuItem,
  Notification,
  nativeImage,
  nativeTheme,
  powerMonitor,
  safeStorage,
  screen,
  session,
  shell,
  Tray,
  webContents,
};
// biome-ignore lint/style/noDefaultExport: Electron's own module has one, and electron-store imports it.
export default electron;

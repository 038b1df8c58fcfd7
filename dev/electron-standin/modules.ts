// biome-ignore-all lint/performance/noBarrelFile: Electron's own module is one list of names as well.
/** The part of Electron's API that the application uses, by Electron's names. */
import { defaultSession } from './web-contents.ts';

export { app } from './app.ts';
export { BrowserWindow, webContents } from './browser-window.ts';
export {
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
export { ipcMain } from './web-contents.ts';

export const session = { defaultSession, fromPartition: () => defaultSession };

// biome-ignore-all lint/performance/noReExportAll: Electron's own module is one list of names as well.
// biome-ignore-all lint/performance/noBarrelFile: the same.
/**
 * What `electron` means to the main process on the stand-in: the part of Electron's API that the application uses. It
 * proves our code, not Electron's own sandbox, tray or native ABI.
 */
import * as electron from './modules.ts';
import { openTrayWindow } from './tray-window.ts';

const { app, nativeTheme } = electron;
app.on('web-contents-created', (_event, contents) => contents.once('dom-ready', () => nativeTheme.applyToAll()));
app.once('ready', () => {
  if (!app.headed) return;
  openTrayWindow().catch((error) => process.stderr.write(`electron stand-in: no tray window: ${error}\n`));
});

export * from './modules.ts';
// biome-ignore lint/style/noDefaultExport: Electron's own module has one, and electron-store imports it.
export default electron;

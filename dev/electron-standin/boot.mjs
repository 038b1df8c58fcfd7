// Starts the application as Electron's own launcher does: `electron [switches] <folder or file> [arguments]`.
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const appArgument = process.argv.slice(2).find((argument) => !argument.startsWith('-'));
if (appArgument === undefined) {
  console.error('electron stand-in: name the folder of the application, e.g. `electron .`');
  process.exit(2);
}
const given = path.resolve(appArgument);
const isFolder = statSync(given).isDirectory();
const main = isFolder
  ? path.join(given, JSON.parse(readFileSync(path.join(given, 'package.json'), 'utf8')).main ?? 'index.js')
  : given;
// Electron's argv starts with the executable; everything after it is as typed.
process.argv.splice(1, 1);
process.argv[0] = path.join(import.meta.dirname, 'electron');
const { beginApp } = await import('./app.ts');
beginApp({ appPath: isFolder ? given : path.dirname(main) });
await import(pathToFileURL(main).href);

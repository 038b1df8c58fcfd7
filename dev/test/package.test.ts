/**
 * Packs a small tree with the project's own `electron-builder.yml`, by the real electron-builder, and reads what came out: which fuses stand,
 * what is in the archive. In Electron's place stands a file that has only its fuses, because its binary is not on every machine: that Electron
 * obeys its fuses is Electron's affair, that ours are set is ours.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

const root = path.resolve(import.meta.dirname, '..', '..');
/** What @electron/fuses looks for in the binary; behind it stand the version, the number of fuses and a digit for each. */
const sentinel = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
/** In the order of Electron's fuse wire. */
const fuseNames = [
  'runAsNode',
  'cookieEncryption',
  'nodeOptions',
  'nodeCliInspect',
  'asarIntegrity',
  'onlyLoadAppFromAsar',
  'browserV8Snapshot',
  'fileProtocolPrivileges',
];
const asShipped = '10001001';

type Entry = { path: string; unpacked: boolean; hash: string };
type Node = {
  files?: Record<string, Node> | undefined;
  unpacked?: boolean | undefined;
  integrity?: { algorithm: 'SHA256'; hash: string } | undefined;
};
const node: z.ZodType<Node> = z.lazy(() =>
  z.object({
    files: z.record(z.string(), node).optional(),
    unpacked: z.boolean().optional(),
    integrity: z.object({ algorithm: z.literal('SHA256'), hash: z.string() }).optional(),
  }),
);
const entriesOf = (one: Node, at: string): Entry[] =>
  one.files === undefined
    ? [{ path: at, unpacked: one.unpacked === true, hash: one.integrity?.hash ?? '' }]
    : Object.entries(one.files).flatMap(([name, child]) => entriesOf(child, at === '' ? name : `${at}/${name}`));

/** The header of an archive: sizes as pickles, then JSON. */
const readArchive = (file: string): Entry[] => {
  const bytes = fs.readFileSync(file);
  return entriesOf(node.parse(JSON.parse(bytes.subarray(16, 16 + bytes.readUInt32LE(12)).toString())), '');
};

let folder = '';
const lay = (name: string, text = 'x'): void => {
  const file = path.join(folder, 'project', name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
};

/** What must be packed, and is enough to be packed. */
const wanted = [
  'node_modules/node-pty/build/Release/pty.node',
  'node_modules/node-pty/lib/index.js',
  'node_modules/node-pty/package.json',
  'out/main/chunks/a-1.js',
  'out/main/main.js',
  'out/preload/main-window.cjs',
  'out/renderer/main-window/index.html',
  'out/session-client/main.js',
  'package.json',
];
const unwanted = [
  'out/main/main.js.map',
  'out/renderer/app.test.js',
  'node_modules/node-pty/lib/index.test.js',
  'node_modules/node-pty/src/unix/pty.cc',
  'node_modules/node-pty/build/Release/pty.pdb',
  'node_modules/zod/index.js',
  '.env',
  'keys/audit.key',
];

describe.runIf(process.platform === 'linux')('the package', () => {
  let fuses = '';
  let packed: Entry[] = [];
  let resources = '';
  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-package-'));
    const manifest: unknown = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
    for (const name of [...wanted, ...unwanted]) lay(name);
    // Whatever folder the project has now or gets one day.
    for (const name of fs.readdirSync(root)) {
      const isOurs = !['out', 'dist', 'node_modules', '.git', 'electron-builder.yml', 'package.json'].includes(name);
      if (isOurs && fs.statSync(path.join(root, name)).isDirectory()) lay(`${name}/something.ts`);
      else if (isOurs) lay(name);
    }
    lay('package.json', JSON.stringify({ ...z.looseObject({}).parse(manifest), devDependencies: {} }));
    lay('node_modules/node-pty/package.json', JSON.stringify({ name: 'node-pty', version: '1.1.0' }));
    lay('node_modules/zod/package.json', JSON.stringify({ name: 'zod', version: '4.6.7' }));
    fs.copyFileSync(path.join(root, 'electron-builder.yml'), path.join(folder, 'project', 'electron-builder.yml'));
    const electron = path.join(folder, 'electron');
    fs.mkdirSync(path.join(electron, 'resources'), { recursive: true });
    const wire = Buffer.concat([Buffer.from([1, asShipped.length]), Buffer.from(asShipped)]);
    const binary = Buffer.concat([Buffer.from(`before${sentinel}`), wire, Buffer.from('after')]);
    fs.writeFileSync(path.join(electron, 'electron'), binary, { mode: 0o755 });
    for (const name of ['version', 'LICENSE', 'LICENSES.chromium.html'])
      fs.writeFileSync(path.join(electron, name), '');

    const builder = createRequire(import.meta.url).resolve('electron-builder/package.json');
    await promisify(execFile)(
      process.execPath,
      [path.join(path.dirname(builder), 'cli.js'), '--dir', '--linux', `-c.electronDist=${electron}`],
      {
        cwd: path.join(folder, 'project'),
        // It asks nobody for anything, not even whether there is a newer one of it.
        env: { PATH: process.env['PATH'], HOME: folder, NO_UPDATE_NOTIFIER: '1', npm_config_offline: 'true' },
      },
    );
    const unpacked = path.join(folder, 'project', 'dist', 'linux-unpacked');
    resources = path.join(unpacked, 'resources');
    const made = fs.readFileSync(path.join(unpacked, 'curfew')).toString('latin1');
    const from = made.indexOf(sentinel) + sentinel.length + 2;
    fuses = made.slice(from, from + asShipped.length);
    packed = readArchive(path.join(resources, 'app.asar'));
  }, 120_000);
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  test('APP-11 its binary runs as nothing but the app: no Node, no options, no inspector, no other code', () => {
    expect(Object.fromEntries(fuseNames.map((name, at) => [name, fuses[at] === '1']))).toEqual({
      runAsNode: false,
      cookieEncryption: true,
      nodeOptions: false,
      nodeCliInspect: false,
      asarIntegrity: true,
      onlyLoadAppFromAsar: true,
      // As Electron ships it.
      browserV8Snapshot: false,
      // Until a scheme of our own serves the windows (threats 6.1).
      fileProtocolPrivileges: true,
    });
  });

  test('SUP-04 it holds the built app and node-pty: no stand-in, test, map, key or other file of the project', () => {
    expect(packed.map((entry) => entry.path).sort()).toEqual([...wanted].sort());
  });

  test('SUP-02 every file has its hash in the archive; only what the system must load itself lies beside it', () => {
    for (const entry of packed) expect(entry.hash, entry.path).toMatch(/^[0-9a-f]{64}$/);
    const beside = packed.filter(({ unpacked }) => unpacked).map((entry) => entry.path);
    expect(beside.sort()).toEqual(wanted.filter((name) => /node-pty|session-client/.test(name)).sort());
    expect(fs.readdirSync(resources).sort()).toEqual(['app.asar', 'app.asar.unpacked']);
  });
});

test('SUP-02 APP-11 no system is packed with weaker fuses or without the archive', () => {
  const config = z
    .object({
      asar: z.literal(true),
      electronFuses: z.record(z.string(), z.boolean()),
      mac: z.looseObject({ hardenedRuntime: z.literal(true) }),
      win: z.looseObject({}),
      linux: z.looseObject({}),
    })
    .parse(parse(fs.readFileSync(path.join(root, 'electron-builder.yml'), 'utf8')));
  expect(config.electronFuses).toMatchObject({
    enableEmbeddedAsarIntegrityValidation: true,
    onlyLoadAppFromAsar: true,
  });
  for (const system of [config.mac, config.win, config.linux]) {
    for (const key of ['asar', 'asarUnpack', 'files', 'extraResources', 'extraFiles', 'electronFuses']) {
      expect(Object.keys(system)).not.toContain(key);
    }
  }
});

// Runs a TypeScript program of ours: `node run.mjs [--native] FILE ARG...`. Plain JavaScript, because it must say in one clear line what is
// wrong on a machine whose Node cannot run TypeScript. npm puts node_modules/.bin first in PATH, so `node` is Node 24 already
// where the locked package exists for the platform. With `--native` what `npm ci` does not compile is made first: terminals, and a Postgres.
import { spawn } from 'node:child_process';

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(
    `Curfew runs on Node 24 or newer; this is ${process.versions.node}. On Linux x64 "npm ci" brings it along; elsewhere install Node 24, then run the same command again.`,
  );
  process.exit(1);
}
const [first, ...others] = process.argv.slice(2);
const native = first === '--native';
if (native) {
  // Only now: an older Node could not read it.
  const { ensureNativeParts } = await import('./native-parts.ts');
  await ensureNativeParts(console.error);
}
const child = spawn(process.execPath, native ? others : process.argv.slice(2), { stdio: 'inherit' });
// The terminal sends Ctrl-C to the whole group: the child decides when to end, we only wait for it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));

// Runs a TypeScript program of ours: `node run.mjs FILE ARG...`. Plain JavaScript, because it must say in one clear line what is
// wrong on a machine whose Node cannot run TypeScript. npm puts node_modules/.bin first in PATH, so `node` is Node 24 already
// where the locked package exists for the platform.
import { spawn } from 'node:child_process';

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(
    `Curfew runs on Node 24 or newer; this is ${process.versions.node}. On Linux x64 "npm ci" brings it along; elsewhere install Node 24, then run the same command again.`,
  );
  process.exit(1);
}
const child = spawn(process.execPath, process.argv.slice(2), { stdio: 'inherit' });
// The terminal sends Ctrl-C to the whole group: the child decides when to end, we only wait for it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));

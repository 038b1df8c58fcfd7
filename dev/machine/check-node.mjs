// Runs on whatever Node the machine has, before anything is installed: plain JavaScript, no dependencies.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 11)) {
  console.error(
    `Curfew needs Node 20.11 or newer to install; this is ${process.versions.node}. Install Node 24 and run the same command again.`,
  );
  process.exit(1);
}

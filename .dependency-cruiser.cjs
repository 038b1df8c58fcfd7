// Who may import whom (design 5). A violation fails `npm run check`.
const layers = 'src/(shared|main|preload|renderer|session-client)|backend|dev|e2e|bench';
const only = (from, to) => ({
  name: `${from} may import only ${to.length === 0 ? 'itself' : to.join(', ')}`,
  severity: 'error',
  from: { path: `^${from}/` },
  to: { path: `^(${layers})/`, pathNot: `^(${[from, ...to].join('|')})/` },
});
module.exports = {
  forbidden: [
    { name: 'no cycles', severity: 'error', from: {}, to: { circular: true } },
    only('src/shared', []),
    only('src/session-client', ['src/shared']),
    only('src/preload', ['src/shared']),
    only('src/renderer', ['src/shared']),
    only('backend', ['src/shared']),
    {
      name: 'main sees the backend only as the type of its router, in one file',
      severity: 'error',
      from: { path: '^src/main/', pathNot: '^src/main/backend-client\\.ts$' },
      to: { path: '^backend/' },
    },
    {
      name: 'main imports no backend code',
      severity: 'error',
      from: { path: '^src/main/' },
      to: { path: '^backend/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'main never reaches into a window or a development stand-in',
      severity: 'error',
      from: { path: '^src/main/' },
      to: { path: '^(src/(renderer|preload|session-client)|dev|e2e|bench)/' },
    },
    {
      name: "the AWS SDK stays behind backend/aws, src/main/aws and the session client's aws.ts",
      severity: 'error',
      from: {
        path: '^(backend|src)/',
        pathNot: '^(backend/(aws|provisioner)|src/main/aws)/|^src/session-client/aws\\.ts$|\\.test\\.ts$',
      },
      to: { path: 'node_modules/@(aws-sdk|smithy)/' },
    },
    {
      name: 'access records the wish, it does not touch AWS',
      severity: 'error',
      from: { path: '^backend/access/', pathNot: '\\.test\\.ts$' },
      to: { path: '^backend/(aws|reconcile|api)/' },
    },
    {
      name: 'store, rules, audit and the compiler know nothing above them',
      severity: 'error',
      from: { path: '^backend/(store|rules|audit|access-policy)/', pathNot: '\\.test\\.ts$|/cli\\.ts$' },
      to: { path: '^backend/(access|aws|reconcile|api)/' },
    },
    {
      name: 'the reconciler uses store and aws only',
      severity: 'error',
      from: { path: '^backend/reconcile/', pathNot: '\\.test\\.ts$' },
      to: { path: '^backend/(access|api|rules)/' },
    },
    {
      name: 'the provisioner is a process of its own and shares no rights with the backend',
      severity: 'error',
      from: { path: '^backend/(?!provisioner/)', pathNot: '\\.test\\.ts$|/testing/' },
      to: { path: '^backend/provisioner/' },
    },
    {
      name: 'nobody imports a benchmark',
      severity: 'error',
      from: { pathNot: '^bench/' },
      to: { path: '^bench/' },
    },
    { name: 'imports resolve', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '\\?' } },
    {
      name: 'pure code does no I/O',
      severity: 'error',
      from: { path: '^(src/shared/|backend/reconcile/plan\\.ts)', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'tests are not imported',
      severity: 'error',
      from: { pathNot: '\\.test\\.tsx?$|/testing/|^e2e/|^dev/chaos/' },
      to: { path: '\\.test\\.tsx?$|/testing/' },
    },
    {
      name: 'no undeclared packages',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'the AGPL oracle is for tests only',
      severity: 'error',
      from: { pathNot: '\\.test\\.ts$' },
      to: { path: 'node_modules/@cloud-copilot/' },
    },
    {
      name: 'development packages stay out of shipped code',
      severity: 'error',
      from: { path: '^(src/(shared|main|preload|session-client)|backend)/', pathNot: '\\.test\\.ts$|/testing/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: 'node_modules/electron/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(out|dist|\\.types)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
};

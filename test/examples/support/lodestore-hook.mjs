// The package's own name means its sources here: the examples are tested without a build.
const NAMES = new Set([
  'lodestore',
  'lodestore/fs',
  'lodestore/replicated',
  'lodestore/etcd',
  'lodestore/nats',
  'lodestore/postgres',
  'lodestore/s3',
  'lodestore/prometheus',
]);

/** Bundles of the sources, made for each run of the tests (`programs.ts`). */
const PROGRAMS = process.env.LODESTORE_TEST_PROGRAMS;

export function resolve(specifier, context, nextResolve) {
  if (!NAMES.has(specifier)) return nextResolve(specifier, context);
  const name = specifier.replace('/', '-');
  return { url: `file://${PROGRAMS}/${name}.js`, shortCircuit: true };
}

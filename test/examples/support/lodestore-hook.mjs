// The package's own name means its sources here: the examples are tested without a build.
const SOURCES = new Map([
  ['lodestore', '../../../src/index.ts'],
  ['lodestore/fs', '../../../src/fs/index.ts'],
  ['lodestore/replicated', '../../../src/replicated/index.ts'],
  ['lodestore/etcd', '../../../src/adapters/etcd/index.ts'],
  ['lodestore/nats', '../../../src/adapters/nats/index.ts'],
  ['lodestore/postgres', '../../../src/adapters/postgres/index.ts'],
  ['lodestore/s3', '../../../src/adapters/s3/index.ts'],
  ['lodestore/prometheus', '../../../src/metrics/prometheus.ts'],
]);

export function resolve(specifier, context, nextResolve) {
  const source = SOURCES.get(specifier);
  if (source === undefined) return nextResolve(specifier, context);
  return { url: new URL(source, import.meta.url).href, shortCircuit: true };
}

// The package's own name means its sources here: the examples are tested without a build.
const SOURCES = new URL('../../../src/index.ts', import.meta.url).href;

export function resolve(specifier, context, nextResolve) {
  if (specifier !== 'lodestore') return nextResolve(specifier, context);
  return { url: SOURCES, shortCircuit: true };
}

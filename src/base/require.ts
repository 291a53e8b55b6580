import nodeModule from 'node:module';

/**
 * Loads a CommonJS package. An `import` first scans the source for export names, which takes longer
 * than loading it, above all in a new thread.
 *
 * By the default import: webpack replaces calls of a named `createRequire` with undefined.
 */
export const requirePackage: (name: string) => unknown = (name) => packageRequire(name);

/** The same, with its cache of modules. */
export const packageRequire: NodeJS.Require = nodeModule.createRequire(
  // A bundle in CommonJS has no `import.meta.url`.
  import.meta.url ?? __filename,
);

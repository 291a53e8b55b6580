import nodeModule from 'node:module';

/**
 * Loads a CommonJS package. An `import` would search its source for the names of its exports first, which takes
 * longer than to load it, above all in a thread that has just been started.
 *
 * By the default import: webpack replaces calls of a named `createRequire` with undefined.
 */
export const requirePackage: (name: string) => unknown = (name) => packageRequire(name);

/** The same, with its cache of modules. */
export const packageRequire: NodeJS.Require = nodeModule.createRequire(
  // A bundle in CommonJS has no `import.meta.url`.
  import.meta.url ?? __filename,
);

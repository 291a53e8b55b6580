import nodeModule from 'node:module';

/**
 * Loads a CommonJS package. `import` would first scan the source for export names, which takes
 * longer than loading it, especially in a new thread.
 *
 * It uses the default import of `node:module`, because webpack replaces calls of a named
 * `createRequire` by undefined.
 */
export const requirePackage: (name: string) => unknown = (name) => packageRequire(name);

/** The underlying `require`, with its module cache. */
export const packageRequire: NodeJS.Require = nodeModule.createRequire(
  // A bundle in CommonJS has no `import.meta.url`.
  import.meta.url ?? __filename,
);

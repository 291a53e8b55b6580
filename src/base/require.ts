import { createRequire } from 'node:module';

/**
 * Loads a CommonJS package. An `import` would search its source for the names of its exports first, which takes
 * longer than to load it, above all in a thread that has just been started.
 */
export const requirePackage: (name: string) => unknown = createRequire(import.meta.url);

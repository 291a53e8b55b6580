import { fileURLToPath } from 'node:url';

/**
 * The path that a caller gave, as a string or as a `file:` URL.
 * @throws TypeError that names the argument
 */
export function pathOf(given: string | URL, name: string): string {
  const path = given instanceof URL && given.protocol === 'file:' ? fileURLToPath(given) : given;
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  throw new TypeError(`${name} must be a path or a file: URL`);
}

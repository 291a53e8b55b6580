import { isAbsolute, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whether `given` is a `file:` URL, of any realm. */
function isFileUrl(given: unknown): given is { readonly href: string } {
  if (typeof given !== 'object' || given === null) return false;
  const { href, protocol } = given as Partial<URL>;
  return typeof href === 'string' && protocol === 'file:';
}

/**
 * Returns a path that was given as a string or as a `file:` URL.
 *
 * @throws TypeError that names the argument
 */
export function pathOf(given: string | URL, name: string): string {
  const path = isFileUrl(given) ? fileURLToPath(given.href) : given;
  if (typeof path === 'string' && path.startsWith('file://')) {
    throw new TypeError(`${name} is the text of a URL, not a path; pass new URL(text)`);
  }
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  throw new TypeError(`${name} must be a path or a file: URL`);
}

/** Whether a path is a directory or inside it. Both are absolute. */
export function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

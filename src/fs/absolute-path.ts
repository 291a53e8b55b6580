import { statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';

/** What Node puts in the place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The absolute path of a path that a caller gave.
 *
 * @throws TypeError if the path, or the working directory that it begins in, has bytes that are not
 *   UTF-8: calls would reach another directory
 */
export function absolutePathOf(path: string, name: string): string {
  if (LONE_SURROGATE.test(path)) {
    throw new TypeError(`${name} is not valid Unicode: it has half of a surrogate pair`);
  }
  const absolute = resolve(path);
  if (isAbsolute(path) || !absolute.includes(REPLACEMENT)) return absolute;
  const directory = process.cwd();
  if (!directory.includes(REPLACEMENT) || isSame('.', directory)) return absolute;
  throw new TypeError(
    `${name} is relative to the working directory, whose path is not valid UTF-8: ${directory}. ` +
      'Pass an absolute path, or rename that directory',
  );
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) =>
    statSync(path, { bigint: true, throwIfNoEntry: false }),
  );
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

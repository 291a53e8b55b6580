import { InvalidArgumentError } from 'commander';

/**
 * Parses a path, of an argument or an option. An empty one comes from an unset shell variable; it
 * is no current directory.
 */
export function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('A path must not be empty.');
  if (text.startsWith('file://')) {
    throw new InvalidArgumentError('It is a URL: give the path without file://.');
  }
  return text;
}

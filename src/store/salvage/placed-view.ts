import { basename, dirname, join } from 'node:path';
import type { FileSystem } from '../../fs/file-system.ts';
import type { Move } from './placement.ts';

/**
 * Returns a view of a file system in which the files of a directory appear as if they had been
 * moved.
 */
export function viewPlaced(fs: FileSystem, directory: string, moves: readonly Move[]): FileSystem {
  if (moves.length === 0) return fs;
  const sources = new Map(moves.flatMap(({ from, to }) => (to === undefined ? [] : [[to, from]])));
  const gone = new Set(moves.map(({ from }) => from).filter((name) => !sources.has(name)));
  const sourceOf = (path: string): string => {
    const source = dirname(path) === directory ? sources.get(basename(path)) : undefined;
    return source === undefined ? path : join(directory, source);
  };
  const view = Object.create(fs) as { -readonly [Name in keyof FileSystem]: FileSystem[Name] };
  view.readDirectory = async (path) => {
    const entries = await fs.readDirectory(path);
    if (path !== directory) return entries;
    const kept = entries.filter(({ name }) => !gone.has(name) && !sources.has(name));
    return [...kept, ...[...sources.keys()].map((name) => ({ name, kind: 'file' as const }))];
  };
  view.open = (path, mode) => fs.open(sourceOf(path), mode);
  view.stat = (path) => fs.stat(sourceOf(path));
  return view;
}

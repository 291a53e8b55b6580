import { parseFileName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';

/** The files of a store's directory, by kind, in ascending order of numbers. */
export interface DirectoryListing {
  readonly logs: readonly number[];
  readonly snapshots: readonly number[];
  /** Names of unfinished snapshots. */
  readonly temporaries: readonly string[];
  readonly hasMarker: boolean;
  /** Whether a reserve file exists. */
  readonly hasReserve?: boolean;
  /** Names that are not the store's: they are reported and not touched. */
  readonly foreign: readonly string[];
}

export async function listDirectory(fs: FileSystem, directory: string): Promise<DirectoryListing> {
  const logs: number[] = [];
  const snapshots: number[] = [];
  const temporaries: string[] = [];
  const foreign: string[] = [];
  let hasMarker = false;
  let hasReserve = false;
  for (const entry of await fs.readDirectory(directory)) {
    const name = parseFileName(entry.name);
    const isExpectedKind =
      name.kind === 'lease' || name.kind === 'quarantine'
        ? entry.kind === 'directory'
        : entry.kind !== 'directory';
    if (name.kind === 'foreign' || !isExpectedKind) foreign.push(entry.name);
    else if (name.kind === 'log') logs.push(name.number);
    else if (name.kind === 'snapshot') snapshots.push(name.number);
    else if (name.kind === 'temporary') temporaries.push(entry.name);
    else if (name.kind === 'marker') hasMarker = true;
    else if (name.kind === 'reserve') hasReserve = true;
  }
  for (const numbers of [logs, snapshots]) numbers.sort((a, b) => a - b);
  for (const names of [temporaries, foreign]) names.sort();
  return { logs, snapshots, temporaries, hasMarker, hasReserve, foreign };
}

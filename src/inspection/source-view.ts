import { basename } from 'node:path';
import type { DirectoryEntry, FileSystem, OpenFile } from '../fs/file-system.ts';

export interface SourceViewOptions {
  /** Names that are not shown: files that cannot be read. */
  readonly hidden?: ReadonlySet<string>;
  /** Hears of every read, with its bytes. */
  readonly onRead?: (lengthBytes: number) => void;
}

/** A file system on which a directory can be read as if some of its files were not there. */
export function viewSource(fs: FileSystem, options: SourceViewOptions): FileSystem {
  const { hidden, onRead } = options;
  const view = Object.create(fs) as {
    -readonly [Name in keyof FileSystem]: FileSystem[Name];
  };
  view.readDirectory = async (path): Promise<DirectoryEntry[]> => {
    const entries = await fs.readDirectory(path);
    return entries.filter((entry) => hidden?.has(basename(entry.name)) !== true);
  };
  view.open = async (path, mode): Promise<OpenFile> => {
    const file = await fs.open(path, mode);
    if (onRead === undefined) return file;
    return {
      read: async (target, position) => {
        const count = await file.read(target, position);
        onRead(count);
        return count;
      },
      write: (source, position) => file.write(source, position),
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      dataSync: () => file.dataSync(),
      stat: () => file.stat(),
      close: () => file.close(),
    };
  };
  return view;
}

import { decodeFileHeader, FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';

/** The header of snapshot `number`, if it is valid, whatever the state of the rest. */
export async function readSnapshotHeader(
  fs: FileSystem,
  path: string,
  number: number,
): Promise<FileHeader | undefined> {
  const file = await fs.open(path, 'r');
  try {
    const bytes = new Uint8Array(FILE_HEADER_BYTES);
    const count = await readFully(file, bytes, 0);
    const result = decodeFileHeader(bytes.subarray(0, count), 'snapshot', number);
    return result.kind === 'header' ? result.header : undefined;
  } finally {
    await file.close();
  }
}

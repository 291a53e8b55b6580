// @ts-check
import { open } from 'node:fs/promises';

/** @import { FileHandle } from 'node:fs/promises' */
/** @import { SourceFile } from './source-tree.mjs' */

const READ_BYTES = 256 * 1024;

/** A source file cannot be read, or has changed: not a failure of the node. */
export class SourceError extends Error {
  /** @override */
  name = 'SourceError';
}

/**
 * Opens a source file for the duration of `use`. The file must be unchanged since it was found.
 * @template T
 * @param {SourceFile} source
 * @param {(file: FileHandle) => Promise<T>} use
 * @returns {Promise<T>}
 * @throws {SourceError} and the errors of `use`
 */
export async function withSource(source, use) {
  const file = await open(source.path, 'r').catch((error) => {
    throw new SourceError(error.message);
  });
  try {
    const stats = await file.stat();
    if (stats.size !== source.lengthBytes || stats.mtimeMs !== source.modifiedMs) {
      throw new SourceError(`${source.path} has changed since it was found`);
    }
    return await use(file);
  } finally {
    await file.close();
  }
}

/**
 * @param {FileHandle} file
 * @param {number} lengthBytes
 */
export async function* readPieces(file, lengthBytes) {
  for (let offset = 0; offset < lengthBytes;) {
    const piece = await readAt(file, offset, Math.min(READ_BYTES, lengthBytes - offset));
    offset += piece.length;
    yield piece;
  }
}

/**
 * @param {FileHandle} file
 * @param {number} offset
 * @param {number} lengthBytes
 * @throws {SourceError} if the file has fewer bytes
 */
export async function readAt(file, offset, lengthBytes) {
  const piece = Buffer.allocUnsafe(lengthBytes);
  let doneBytes = 0;
  while (doneBytes < lengthBytes) {
    const rest = lengthBytes - doneBytes;
    const { bytesRead } = await file
      .read(piece, doneBytes, rest, offset + doneBytes)
      .catch((error) => {
        throw new SourceError(error.message);
      });
    if (bytesRead === 0) throw new SourceError('the file has become shorter');
    doneBytes += bytesRead;
  }
  return piece;
}

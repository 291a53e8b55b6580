import type { Readable } from 'node:stream';
import type { FileSystem } from '../../fs/file-system.ts';
import { UsageError } from '../output/command-errors.ts';

const READ_BYTES: number = 256 * 1024;

/** The input of an import in pieces, and its total length if known. */
export interface ImportInput {
  readonly pieces: AsyncIterable<Uint8Array>;
  readonly totalBytes: number | undefined;
}

/** @throws UsageError if there is a directory at `path`; system errors unchanged */
export async function fileInput(fs: FileSystem, path: string): Promise<ImportInput> {
  const { kind, sizeBytes } = await fs.stat(path);
  if (kind === 'directory') {
    throw new UsageError(`--in ${path} is a directory: only --format ancestor reads one`);
  }
  return { pieces: readPieces(fs, path), totalBytes: sizeBytes };
}

async function* readPieces(fs: FileSystem, path: string): AsyncGenerator<Uint8Array, void, void> {
  const file = await fs.open(path, 'r');
  try {
    const buffer = new Uint8Array(READ_BYTES);
    for (let offset = 0; ;) {
      const count = await file.read(buffer, offset);
      if (count === 0) return;
      yield buffer.subarray(0, count);
      offset += count;
    }
  } finally {
    await file.close();
  }
}

/**
 * Input from a stream. The stream is closed when the signal aborts, because it may never yield
 * again.
 */
export function streamInput(stream: Readable, signal: AbortSignal): ImportInput {
  return { pieces: streamPieces(stream, signal), totalBytes: undefined };
}

async function* streamPieces(
  stream: Readable,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const stop = (): void => void stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of stream) yield piece as Uint8Array;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

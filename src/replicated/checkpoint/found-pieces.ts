import type { FileSystem } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { sha256Hex, type CheckpointPiece } from './checkpoint-manifest.ts';

/**
 * The pieces that downloads have written to files. If an object is removed during a download, that
 * of a newer checkpoint takes from the files of the older one what both have. Otherwise a download
 * that takes longer than checkpoints are kept would never end.
 */
export class FoundPieces {
  readonly #fs: FileSystem;
  /** By the SHA-256 of the content. A file may be gone. */
  readonly #places: Map<string, { readonly path: string; readonly offset: number }> = new Map();
  #kept: string | undefined;

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  /** The directory of the download that broke off. */
  get kept(): string | undefined {
    return this.#kept;
  }

  /** Keeps the directory of another download. Returns the one that is not kept any more. */
  keep(directory: string | undefined): string | undefined {
    const before = this.#kept;
    this.#kept = directory;
    return before;
  }

  add({ object }: CheckpointPiece, path: string, offset: number): void {
    this.#places.set(contentOf(object), { path, offset });
  }

  /** The bytes of a piece, verified; undefined if no file has them. */
  async read({ object, sizeBytes }: CheckpointPiece): Promise<Uint8Array | undefined> {
    const content = contentOf(object);
    const place = this.#places.get(content);
    if (place === undefined) return undefined;
    const bytes = new Uint8Array(sizeBytes);
    try {
      const file = await this.#fs.open(place.path, 'r');
      try {
        await readFully(file, bytes, place.offset);
      } finally {
        await file.close();
      }
    } catch {
      return undefined;
    }
    return sha256Hex(bytes) === content ? bytes : undefined;
  }
}

/** The SHA-256 of an object, by its name. */
function contentOf(object: string): string {
  return object.slice(object.lastIndexOf('/') + 1);
}

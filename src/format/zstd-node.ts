import zlib from 'node:zlib';
import { MAX_WINDOW_LOG } from '../base/limits.ts';
import type { PieceCompressor, Zstd } from './zstd-library.ts';

interface ZstdOptions {
  readonly params?: Readonly<Record<number, number>>;
  readonly maxOutputLength?: number;
}

/**
 * The zstd functions of `node:zlib` since Node.js 22.15. The package is type-checked against
 * Node.js 20, whose types lack them.
 */
interface NodeZlib {
  readonly constants: {
    readonly ZSTD_c_compressionLevel: number;
    readonly ZSTD_d_windowLogMax: number;
  };
  zstdCompressSync(source: Uint8Array, options: ZstdOptions): Uint8Array;
  zstdCompress(
    source: Uint8Array,
    options: ZstdOptions,
    done: (error: Error | null, result: Uint8Array) => void,
  ): void;
  zstdDecompressSync(source: Uint8Array, options: ZstdOptions): Uint8Array;
}

const PIECE_BYTES: number = 128 * 1024;

/**
 * zstd by Node.js itself, for platforms where `zstd-napi` has no binary. It is slower: each call
 * allocates its result. It holds payloads that arrive in pieces as a whole, so reading or writing
 * the ancestor's files takes as much memory as their content.
 */
export class NodeZstd implements Zstd {
  readonly #zlib: NodeZlib = zlib as unknown as NodeZlib;

  compress(target: Uint8Array, source: Uint8Array, level: number): number {
    return put(target, this.#zlib.zstdCompressSync(source, this.#options(level)));
  }

  async compressLater(target: Uint8Array, source: Uint8Array, level: number): Promise<number> {
    const result = await new Promise<Uint8Array>((resolve, reject) => {
      this.#zlib.zstdCompress(source, this.#options(level), (error, compressed) => {
        if (error === null) resolve(compressed);
        else reject(error);
      });
    });
    return put(target, result);
  }

  decompress(target: Uint8Array, source: Uint8Array): number {
    const maxOutputLength = Math.max(1, target.length);
    const result = this.#zlib.zstdDecompressSync(source, { maxOutputLength });
    if (result.length > target.length) throw new RangeError('the content is longer than expected');
    return put(target, result);
  }

  *decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void> {
    if (source.length === 0) return;
    const params = { [this.#zlib.constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };
    yield* piecesOf(this.#zlib.zstdDecompressSync(source, { params }));
  }

  pieceCompressor(level: number): PieceCompressor {
    const sources: Uint8Array[] = [];
    return {
      // The linter requires a yield in each generator. There is no output before the end.
      *push(source): Generator<Uint8Array, void, void> {
        sources.push(source.slice());
        yield* [];
      },
      finish: () =>
        piecesOf(this.#zlib.zstdCompressSync(Buffer.concat(sources), this.#options(level))),
    };
  }

  #options(level: number): ZstdOptions {
    return { params: { [this.#zlib.constants.ZSTD_c_compressionLevel]: level } };
  }
}

function put(target: Uint8Array, result: Uint8Array): number {
  target.set(result);
  return result.length;
}

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

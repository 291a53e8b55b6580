import { assert } from '../base/assert.ts';
import { ENCODE_SLICE_BYTES, MAX_WINDOW_LOG } from '../base/limits.ts';
import { requireNative } from '../base/native-package.ts';
import type { PieceCompressor, Zstd } from './zstd-library.ts';

type Binding = typeof import('zstd-napi/binding.js');
type CompressionContext = InstanceType<Binding['CCtx']>;
type DecompressionContext = InstanceType<Binding['DCtx']>;

const DECOMPRESSED_PIECE_BYTES: number = 128 * 1024;
const COMPRESSED_PIECE_BYTES: number = 256 * 1024;

/**
 * State for decompressing by pieces. It is reused, because V8 does not count the context's native
 * memory and so does not collect unused contexts in time.
 */
interface PieceDecompressor {
  readonly context: DecompressionContext;
  readonly piece: Uint8Array;
}

/**
 * zstd by the package `zstd-napi`. It makes no copies. Contexts are reused, because creating one
 * costs more than compressing a small group.
 */
export class NapiZstd implements Zstd {
  readonly #binding: Binding;
  readonly #compressors: Map<number, CompressionContext> = new Map();
  #decompressor: DecompressionContext | undefined;
  /** Undefined while a payload is being decompressed. */
  #idlePieceDecompressor: PieceDecompressor | undefined;

  /** @throws NativePackageError if the package has no binary for this platform */
  constructor() {
    this.#binding = requireNative('zstd-napi', 'zstd-napi/binding.js') as Binding;
  }

  compress(target: Uint8Array, source: Uint8Array, level: number): number {
    let context = this.#compressors.get(level);
    if (context === undefined) {
      context = this.#compressor(level);
      this.#compressors.set(level, context);
    }
    return context.compress2(target, source);
  }

  async compressLater(
    target: Uint8Array,
    source: Uint8Array,
    level: number,
    pause: () => Promise<void>,
  ): Promise<number> {
    const { EndDirective } = this.#binding;
    // Needs its own context: another compression may run between two slices.
    const context = this.#compressor(level);
    context.setPledgedSrcSize(source.length);
    let consumed = 0;
    let written = 0;
    for (;;) {
      const slice = source.subarray(consumed, consumed + ENCODE_SLICE_BYTES);
      const isLast = consumed + slice.length === source.length;
      const directive = isLast ? EndDirective.end : EndDirective.continue;
      const rest = target.subarray(written);
      const [left, produced, taken] = context.compressStream2(rest, slice, directive);
      consumed += taken;
      written += produced;
      if (isLast && left === 0) return written;
      assert(produced > 0 || taken > 0, 'a compression step makes progress within its bound');
      await pause();
    }
  }

  decompress(target: Uint8Array, source: Uint8Array): number {
    this.#decompressor ??= new this.#binding.DCtx();
    return this.#decompressor.decompress(target, source);
  }

  *decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void> {
    const mine = this.#idlePieceDecompressor ?? this.#pieceDecompressor();
    this.#idlePieceDecompressor = undefined;
    const { context, piece } = mine;
    try {
      // The previous payload may have been abandoned anywhere.
      context.reset(this.#binding.ResetDirective.sessionOnly);
      let consumed = 0;
      let expectsMore = source.length > 0;
      while (consumed < source.length || expectsMore) {
        const [hint, produced, taken] = context.decompressStream(piece, source.subarray(consumed));
        consumed += taken;
        expectsMore = hint !== 0;
        if (produced > 0) yield piece.subarray(0, produced);
        else if (taken === 0) break;
      }
      if (expectsMore) throw new Error('the zstd payload ends in the middle of a frame');
    } finally {
      this.#idlePieceDecompressor = mine;
    }
  }

  pieceCompressor(level: number): PieceCompressor {
    return new NapiPieceCompressor(this.#binding, this.#compressor(level));
  }

  #compressor(level: number): CompressionContext {
    const context = new this.#binding.CCtx();
    context.setParameter(this.#binding.CParameter.compressionLevel, level);
    return context;
  }

  #pieceDecompressor(): PieceDecompressor {
    const context = new this.#binding.DCtx();
    context.setParameter(this.#binding.DParameter.windowLogMax, MAX_WINDOW_LOG);
    return { context, piece: new Uint8Array(DECOMPRESSED_PIECE_BYTES) };
  }
}

class NapiPieceCompressor implements PieceCompressor {
  readonly #binding: Binding;
  readonly #context: CompressionContext;
  readonly #piece: Uint8Array = new Uint8Array(COMPRESSED_PIECE_BYTES);

  constructor(binding: Binding, context: CompressionContext) {
    this.#binding = binding;
    this.#context = context;
  }

  *push(source: Uint8Array): Generator<Uint8Array, void, void> {
    for (let taken = 0; taken < source.length;) {
      const rest = source.subarray(taken);
      const directive = this.#binding.EndDirective.continue;
      const [, produced, consumed] = this.#context.compressStream2(this.#piece, rest, directive);
      taken += consumed;
      if (produced > 0) yield this.#piece.subarray(0, produced);
    }
  }

  *finish(): Generator<Uint8Array, void, void> {
    const nothing = new Uint8Array(0);
    for (let left = 1; left > 0;) {
      const directive = this.#binding.EndDirective.end;
      const [after, produced] = this.#context.compressStream2(this.#piece, nothing, directive);
      left = after;
      if (produced > 0) yield this.#piece.subarray(0, produced);
    }
  }
}

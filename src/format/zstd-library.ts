/**
 * Compresses one payload of unknown length. Each yielded piece is valid until the next one is
 * requested.
 */
export interface PieceCompressor {
  /** Consumes all of `source`. */
  push(source: Uint8Array): Generator<Uint8Array, void, void>;
  finish(): Generator<Uint8Array, void, void>;
}

/** The functions of a zstd library that the store uses. */
export interface Zstd {
  /**
   * Compresses into `target`, which must hold the compression bound of the source. Returns the
   * number of bytes written.
   */
  compress(target: Uint8Array, source: Uint8Array, level: number): number;
  /** Like `compress`, without blocking the event loop for long. */
  compressLater(
    target: Uint8Array,
    source: Uint8Array,
    level: number,
    pause: () => Promise<void>,
  ): Promise<number>;
  /**
   * Returns the number of bytes written.
   *
   * @throws if the bytes are not zstd, or their content is longer than `target`
   */
  decompress(target: Uint8Array, source: Uint8Array): number;
  /**
   * Yields pieces of at most 128 KiB; each is valid until the next one is requested.
   *
   * @throws if the bytes are not zstd
   */
  decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void>;
  pieceCompressor(level: number): PieceCompressor;
}

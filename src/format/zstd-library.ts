/**
 * Compresses one payload of unknown length. Each piece that is yielded is valid until the next is
 * asked for.
 */
export interface PieceCompressor {
  /** Takes in all of `source`. */
  push(source: Uint8Array): Generator<Uint8Array, void, void>;
  finish(): Generator<Uint8Array, void, void>;
}

/** What the store needs of a zstd library. */
export interface Zstd {
  /**
   * Compresses into `target`, which holds the bound of a source of this length. Returns the bytes
   * written.
   */
  compress(target: Uint8Array, source: Uint8Array, level: number): number;
  /** As `compress`, but leaves the event loop to others meanwhile. */
  compressLater(
    target: Uint8Array,
    source: Uint8Array,
    level: number,
    pause: () => Promise<void>,
  ): Promise<number>;
  /**
   * Returns the bytes written. @throws on bytes that are no zstd, or whose content is longer than
   * `target`
   */
  decompress(target: Uint8Array, source: Uint8Array): number;
  /**
   * Pieces of at most 128 KiB, each valid until the next is asked for. @throws on bytes that are no
   * zstd
   */
  decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void>;
  pieceCompressor(level: number): PieceCompressor;
}

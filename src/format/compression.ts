import { assert } from '../base/assert.ts';
import { ENCODE_SLICE_BYTES, MAX_WINDOW_LOG } from '../base/limits.ts';
import { requirePackage } from '../base/require.ts';

const zstd = requirePackage('zstd-napi/binding.js') as typeof import('zstd-napi/binding.js');

type CompressionContext = InstanceType<typeof zstd.CCtx>;

/** How a frame's payload is stored. */
export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;

/** Below this, zstd's own header eats what it might save. */
const MIN_COMPRESS_BYTES = 64;

// Contexts are kept: making one costs more than compressing a small group. One set per thread.
const compressors = new Map<number, CompressionContext>();
let decompressor: InstanceType<typeof zstd.DCtx> | undefined;

function compressorOf(level: number): CompressionContext {
  let context = compressors.get(level);
  if (context === undefined) {
    context = new zstd.CCtx();
    context.setParameter(zstd.CParameter.compressionLevel, level);
    compressors.set(level, context);
  }
  return context;
}

/** Bytes that `compressInto` may need at most for a source of this length. */
export function compressedBound(lengthBytes: number): number {
  return zstd.compressBound(lengthBytes);
}

/**
 * Compresses into `target`, which holds at least `compressedBound(source.length)` bytes. Returns the
 * bytes written, or -1 when raw is no longer than zstd.
 */
export function compressInto(target: Uint8Array, source: Uint8Array, level: number): number {
  if (source.length < MIN_COMPRESS_BYTES) return -1;
  const written = compressorOf(level).compress2(target, source);
  return written < source.length ? written : -1;
}

/** As `compressInto`, but gives way to the event loop (`pause`) after each slice of the source. */
export async function compressInSlices(
  target: Uint8Array,
  source: Uint8Array,
  level: number,
  pause: () => Promise<void>,
): Promise<number> {
  if (source.length <= ENCODE_SLICE_BYTES) return compressInto(target, source, level);
  // A context of its own: another encoding may run between two slices.
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.compressionLevel, level);
  context.setPledgedSrcSize(source.length);
  let consumed = 0;
  let written = 0;
  for (;;) {
    const slice = source.subarray(consumed, consumed + ENCODE_SLICE_BYTES);
    const last = consumed + slice.length === source.length;
    const directive = last ? zstd.EndDirective.end : zstd.EndDirective.continue;
    const [left, produced, taken] = context.compressStream2(
      target.subarray(written),
      slice,
      directive,
    );
    consumed += taken;
    written += produced;
    if (last && left === 0) return written < source.length ? written : -1;
    assert(produced > 0 || taken > 0, 'a compression step makes progress within its bound');
    await pause();
  }
}

/**
 * Decompresses one payload into `target`, which must be filled exactly. Returns false when the source is
 * not a zstd payload of that length: the caller's bytes are damaged, or crafted.
 */
export function decompressInto(target: Uint8Array, source: Uint8Array): boolean {
  decompressor ??= new zstd.DCtx();
  try {
    return decompressor.decompress(target, source) === target.length;
  } catch {
    return false;
  }
}

/** What decompressing by pieces needs. Kept between payloads: the context's memory is not the heap's. */
interface PieceDecompressor {
  readonly context: InstanceType<typeof zstd.DCtx>;
  readonly piece: Uint8Array;
}

const PIECE_BYTES: number = 128 * 1024;

/** Undefined while a payload is being decompressed with it. */
let idlePieceDecompressor: PieceDecompressor | undefined;

function makePieceDecompressor(): PieceDecompressor {
  const context = new zstd.DCtx();
  context.setParameter(zstd.DParameter.windowLogMax, MAX_WINDOW_LOG);
  return { context, piece: new Uint8Array(PIECE_BYTES) };
}

/**
 * Decompresses a payload of unknown length (the ancestor's) piece by piece. Yields pieces of at most
 * 128 KiB, each valid until the next is asked for. Throws zstd's error on bytes that are not zstd.
 */
export function* decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void> {
  const mine = idlePieceDecompressor ?? makePieceDecompressor();
  idlePieceDecompressor = undefined;
  const { context, piece } = mine;
  try {
    // The payload before it may have ended anywhere.
    context.reset(zstd.ResetDirective.sessionOnly);
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
    idlePieceDecompressor = mine;
  }
}

import { TurnPace } from '../turn-pace.ts';
import { BLOCK_BYTES, blockCount, tableLength, type BlockTable } from './block-table.ts';
import { loadZstd } from './zstd.ts';

/** A body as it is stored. */
export interface StoredBody {
  readonly pieces: readonly Uint8Array[];
  readonly bodyBytes: number;
  /** Lengths of the stored blocks, for a compressed body. */
  readonly blockLengths?: readonly number[] | undefined;
}

/** Shorter bodies are stored as they are: the table of their block outweighs the gain. */
const LEAST_BYTES = 64;
/** Decompressing a block takes about half of the time of compressing it. */
const DECOMPRESSION_SHARE = 2;

/** One block is compressed, or two are decompressed, in one turn of the event loop. */
const pace = new TurnPace(BLOCK_BYTES);

/**
 * Compresses a body by blocks. A block that does not shrink stays as it is, and so does the whole
 * body if its record does not. The result may refer to `pieces`.
 *
 * @throws NodeError `NO_ZSTD`
 */
export async function compressBody(
  pieces: readonly Uint8Array[],
  sizeBytes: number,
): Promise<StoredBody> {
  const plain = { pieces, bodyBytes: sizeBytes };
  if (sizeBytes < LEAST_BYTES) return plain;
  const zstd = await loadZstd();
  const blockLengths: number[] = [];
  const stored: Uint8Array[] = [];
  let bodyBytes = 0;
  for (const slices of blocksOf(pieces)) {
    const length = slices.reduce((sum, slice) => sum + slice.length, 0);
    await pace.take(length);
    const frame = zstd.compress(slices, length);
    if (frame === undefined) stored.push(...slices);
    else stored.push(frame);
    const storedLength = frame?.length ?? length;
    blockLengths.push(storedLength);
    bodyBytes += storedLength;
  }
  const isShorter = bodyBytes + tableLength(sizeBytes) + 8 <= sizeBytes + 4 * blockCount(sizeBytes);
  return isShorter ? { pieces: stored, bodyBytes, blockLengths } : plain;
}

/** The content of the pieces by blocks, each as slices of the pieces. */
function* blocksOf(pieces: readonly Uint8Array[]): Generator<Uint8Array[], void, undefined> {
  let slices: Uint8Array[] = [];
  let missing = BLOCK_BYTES;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length;) {
      const slice = piece.subarray(from, from + missing);
      slices.push(slice);
      from += slice.length;
      missing -= slice.length;
      if (missing > 0) continue;
      yield slices;
      [slices, missing] = [[], BLOCK_BYTES];
    }
  }
  if (slices.length > 0) yield slices;
}

/** The content of a stored block; undefined if it is damaged. @throws NodeError `NO_ZSTD` */
export async function contentOfBlock(
  table: BlockTable,
  block: number,
  stored: Buffer,
): Promise<Buffer | undefined> {
  if (!table.isSound(block, stored)) return undefined;
  if (!table.isCompressed(block)) return stored;
  const zstd = await loadZstd();
  const contentBytes = table.contentOf(block);
  await pace.take(Math.ceil(contentBytes / DECOMPRESSION_SHARE));
  return zstd.decompress(stored, contentBytes);
}

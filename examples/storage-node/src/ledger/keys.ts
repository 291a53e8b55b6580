/**
 * The upper 4 bits of a lodestore key select its space. The meaning of the lower 60 bits depends on
 * the space.
 */
const SPACES = {
  /** Identity and counters, see `node-record.ts`. */
  node: 0n,
  /** Hash of bucket and name -> handle of the object's record; data: `object-entry.ts`. */
  object: 1n,
  /** Serial of a body, number of the extent -> handle; data: `content-record.ts`. */
  extent: 2n,
  /** Leaf -> handle; data: `names/leaf-record.ts`. */
  leaf: 3n,
  /** Leaf, number of the delta -> 1: name is there, 2: it is not; data: the name. */
  delta: 4n,
  /** Number of a volume -> live bytes + 1; data: `volume-record.ts`. */
  volume: 5n,
  /** Number of a bucket -> objects in it + 1; data: `bucket-record.ts`. */
  bucket: 6n,
  /** Serial of an upload; data: `upload-record.ts`. */
  upload: 7n,
  /** Serial of an upload, number of a part; data: `upload-record.ts`. */
  part: 8n,
  /** Serial of an object of several extents; data: `content-record.ts`. */
  content: 9n,
  /** Sequence of a mark that is in no volume yet -> 1; data: `mark-record.ts`. */
  mark: 10n,
} as const;

export type Space = keyof typeof SPACES;

const SPACE_SHIFT = 60n;
const LOWER_MASK = (1n << SPACE_SHIFT) - 1n;

const BASES = Object.fromEntries(
  Object.entries(SPACES).map(([space, number]) => [space, number << SPACE_SHIFT]),
) as Readonly<Record<Space, bigint>>;

export function keyOf(space: Space, lower: bigint | number): bigint {
  return BASES[space] | BigInt(lower);
}

export function lowerOf(key: bigint): bigint {
  return key & LOWER_MASK;
}

/** All keys of a space. */
export function rangeOf(space: Space): { readonly gte: bigint; readonly lte: bigint } {
  return { gte: BASES[space], lte: BASES[space] | LOWER_MASK };
}

/** Extents of one body: numbers 0 to 65,535. */
export const MAX_EXTENTS = 65_536;

export function extentKey(serial: number, index: number): bigint {
  return BASES.extent | (BigInt(serial) << 16n) | BigInt(index);
}

/** Deltas of one leaf: numbers below 2^24. */
export const MAX_DELTA = 2 ** 24 - 1;

export function deltaKey(leafId: number, number: number): bigint {
  return BASES.delta | (BigInt(leafId) << 24n) | BigInt(number);
}

export function deltaNumberOf(key: bigint): number {
  return Number(key & 0xff_ffffn);
}

export function partKey(serial: number, part: number): bigint {
  return BASES.part | (BigInt(serial) << 14n) | BigInt(part);
}

export function partNumberOf(key: bigint): number {
  return Number(key & 0x3fffn);
}

import { viewOf } from '../../base/bytes.ts';

/** Initial length of a batch's row buffer: six or seven short records. */
export const FIRST_ROW_BUFFER_BYTES = 256;

const POOL_BYTES: number = 64 * FIRST_ROW_BUFFER_BYTES;

/**
 * A buffer of `lengthBytes` zeroed bytes from `start` on. The shortest buffers share memory and a
 * view. Most batches have one record, and separate memory or a separate view for each would cost
 * more than packing it.
 */
export class BatchBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  readonly lengthBytes: number;
  /** Number of commits that still read the buffer. */
  lentCount = 0;

  constructor(bytes: Uint8Array, view: DataView, start: number, lengthBytes: number) {
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.lengthBytes = lengthBytes;
  }
}

let pool = new Uint8Array(POOL_BYTES);
let poolView = viewOf(pool);
let usedBytes = 0;

export function makeRowBuffer(lengthBytes: number): BatchBuffer {
  if (lengthBytes > FIRST_ROW_BUFFER_BYTES) {
    const bytes = new Uint8Array(lengthBytes);
    return new BatchBuffer(bytes, viewOf(bytes), 0, lengthBytes);
  }
  if (usedBytes === POOL_BYTES) {
    pool = new Uint8Array(POOL_BYTES);
    poolView = viewOf(pool);
    usedBytes = 0;
  }
  const start = usedBytes;
  usedBytes += FIRST_ROW_BUFFER_BYTES;
  return new BatchBuffer(pool, poolView, start, FIRST_ROW_BUFFER_BYTES);
}

import { ChecksumSeed } from '../../src/format/checksum.ts';
import { STORE_ID } from './small-directory.ts';

/** Log 1 with another version and a valid checksum. */
export function forgedVersion(bytes: Uint8Array, version: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setUint32(8, version, true);
  const seed = new ChecksumSeed(STORE_ID, 'log', 1);
  view.setUint32(124, seed.checksum(copy.subarray(0, 124), 0), true);
  return copy;
}

/** Log 1 with changed header fields of the frame at `offset` and a valid checksum. */
export function forgedFrame(
  bytes: Uint8Array,
  offset: number,
  change: (header: DataView) => void,
): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer, offset, 48);
  change(view);
  const seed = new ChecksumSeed(STORE_ID, 'log', 1);
  view.setUint32(44, seed.checksum(copy.subarray(offset, offset + 44), offset), true);
  return copy;
}

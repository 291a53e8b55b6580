import { GROUP_ALIGN_BYTES, HEADER_BYTES } from './volume-header.ts';
import { lengthOfRecord, RECORD_HEADER_BYTES, type RecordHeader } from './record.ts';
import type { VolumeSet } from './volume-set.ts';
import type { Volume } from './volume.ts';

const WINDOW_BYTES = 2 ** 20;
const ZEROS = Buffer.alloc(GROUP_ALIGN_BYTES);

export interface WalkedRecord {
  readonly header: RecordHeader;
  readonly offset: number;
  /** Header, name and meta at least; the whole record if it fits a window. */
  readonly bytes: Buffer;
  readonly lengthBytes: number;
}

/** Bytes at which neither a record nor the padding of a group stands. */
export interface WalkedGap {
  readonly offset: number;
  readonly lengthBytes: number;
}

/**
 * The records of a volume, in the order of their places, as far as `end`. Behind a header that is
 * not valid it goes on at the next multiple of 4 KiB, where a group may begin: bytes of a body pass
 * for no record, since the checksum of a header depends on its place.
 */
export async function* walkRecords(
  volumes: VolumeSet,
  volume: Volume,
  end: number,
): AsyncGenerator<
  | { readonly record: WalkedRecord; readonly gap?: undefined }
  | { readonly gap: WalkedGap; readonly record?: undefined }
> {
  const seal = volumes.sealOf(volume.number);
  let window = Buffer.alloc(0);
  let windowAt = 0;
  /** Bytes from `offset` on: `least` of them, or as many as there are. */
  const bytesAt = async (offset: number, least: number): Promise<Buffer> => {
    const from = offset - windowAt;
    if (from >= 0 && from + least <= window.length) return window.subarray(from);
    const target = Buffer.allocUnsafe(Math.min(Math.max(least, WINDOW_BYTES), end - offset));
    const count = await volumes.readSome(volume, target, offset);
    window = target.subarray(0, count);
    windowAt = offset;
    return window;
  };
  let offset = HEADER_BYTES;
  while (offset + RECORD_HEADER_BYTES <= end) {
    let bytes = await bytesAt(offset, RECORD_HEADER_BYTES);
    const header = seal.read(bytes, offset);
    if (header === undefined) {
      const next = nextGroup(offset);
      const between = bytes.subarray(0, Math.min(next, end) - offset);
      if (!between.equals(ZEROS.subarray(0, between.length))) {
        yield { gap: { offset, lengthBytes: between.length } };
      }
      offset = next;
      continue;
    }
    const lengthBytes = lengthOfRecord(header);
    bytes = await bytesAt(offset, Math.min(lengthBytes, end - offset));
    yield {
      record: { header, offset, bytes: bytes.subarray(0, lengthBytes), lengthBytes },
    };
    offset += lengthBytes;
  }
}

function nextGroup(offset: number): number {
  return (Math.floor(offset / GROUP_ALIGN_BYTES) + 1) * GROUP_ALIGN_BYTES;
}

import { viewOf, writeSafeU64 } from '../base/bytes.ts';
import { crc32, crc32c } from './crc.ts';

export const STORE_ID_BYTES = 16;

export type FileKind = 'log' | 'snapshot';

const KIND_BYTE: Record<FileKind | 'claim', number> = { log: 1, snapshot: 2, claim: 3 };

/**
 * Seeds a file's checksums with store id, file kind, file number and offset (by CRC-32C), so that
 * bytes are valid only at one offset of one file.
 */
export class ChecksumSeed {
  readonly #fileSeed: number;
  readonly #offsetBytes: Uint8Array = new Uint8Array(8);
  readonly #offsetView: DataView = viewOf(this.#offsetBytes);

  constructor(storeId: Uint8Array, kind: FileKind | 'claim', fileNumber: number) {
    const bytes = new Uint8Array(STORE_ID_BYTES + 9);
    bytes.set(storeId);
    bytes[STORE_ID_BYTES] = KIND_BYTE[kind];
    writeSafeU64(viewOf(bytes), STORE_ID_BYTES + 1, fileNumber);
    this.#fileSeed = crc32c(bytes);
  }

  /** Checksum of `bytes` for the position `fileOffset`. */
  checksum(bytes: Uint8Array, fileOffset: number): number {
    writeSafeU64(this.#offsetView, 0, fileOffset);
    return crc32c(bytes, crc32c(this.#offsetBytes, this.#fileSeed));
  }
}

/**
 * The ancestor's frame checksum: CRC-32 (IEEE) XOR 0xAF. The XOR makes that of an empty frame
 * non-zero.
 */
export function ancestorChecksum(bytes: Uint8Array): number {
  return (crc32(bytes) ^ 0xaf) >>> 0;
}

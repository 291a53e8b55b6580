import { assert } from '../base/assert.ts';
import { writeSafeU64 } from '../base/bytes.ts';
import { requirePackage } from '../base/require.ts';

const { crc32 } = requirePackage('@node-rs/crc32') as typeof import('@node-rs/crc32');
const zstd = requirePackage('zstd-napi/binding.js') as typeof import('zstd-napi/binding.js');

/** Bytes of a record before its data in the ancestor's format. */
export const ANCESTOR_ROW_BYTES = 24;
/** As the ancestor compresses: a window of 2 MiB, far below the 2^27 that it accepts. */
const ANCESTOR_LEVEL = 3;
const PIECE_BYTES: number = 256 * 1024;

/** A u64 in halves. */
export interface U64Halves {
  readonly low: number;
  readonly high: number;
}

/** Writes the head of one record: `u64 key | u64 value | u64 dataLength`. The data follows it. */
export function writeAncestorRowHead(
  view: DataView,
  offset: number,
  key: U64Halves,
  value: U64Halves,
  dataLength: number,
): void {
  assert(value.low !== 0 || value.high !== 0, 'a record of a snapshot is no delete');
  view.setUint32(offset, key.low, true);
  view.setUint32(offset + 4, key.high, true);
  view.setUint32(offset + 8, value.low, true);
  view.setUint32(offset + 12, value.high, true);
  writeSafeU64(view, offset + 16, dataLength);
}

/** Compresses a payload of unknown length into one zstd frame, piece by piece. */
export class AncestorCompressor {
  readonly #context: InstanceType<typeof zstd.CCtx> = new zstd.CCtx();
  readonly #piece: Uint8Array = new Uint8Array(PIECE_BYTES);

  constructor() {
    this.#context.setParameter(zstd.CParameter.compressionLevel, ANCESTOR_LEVEL);
  }

  /** Takes in all of `source`. Each piece is valid until the next is asked for. */
  *push(source: Uint8Array): Generator<Uint8Array, void, void> {
    for (let taken = 0; taken < source.length;) {
      const rest = source.subarray(taken);
      const directive = zstd.EndDirective.continue;
      const [, produced, consumed] = this.#context.compressStream2(this.#piece, rest, directive);
      taken += consumed;
      if (produced > 0) yield this.#piece.subarray(0, produced);
    }
  }

  *finish(): Generator<Uint8Array, void, void> {
    const nothing = new Uint8Array(0);
    for (let left = 1; left > 0;) {
      const directive = zstd.EndDirective.end;
      const [after, produced] = this.#context.compressStream2(this.#piece, nothing, directive);
      left = after;
      if (produced > 0) yield this.#piece.subarray(0, produced);
    }
  }
}

/** The ancestor's frame checksum, of bytes that come in pieces: those of the length, then the payload. */
export class AncestorChecksum {
  #crc = 0;

  update(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc);
  }

  get value(): number {
    return (this.#crc ^ 0xaf) >>> 0;
  }
}

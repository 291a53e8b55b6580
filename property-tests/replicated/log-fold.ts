import { decompressInto } from '../../src/format/compression.ts';

/** A batch of the log, read independently according to docs/FORMAT.md. */
export interface FoldedBatch {
  readonly sequence: bigint;
  /** Position of the entry that commits it. */
  readonly position: bigint;
  readonly epoch: bigint;
  readonly writes: readonly (readonly [key: bigint, value: bigint])[];
}

const HEADER_BYTES = 84;

/**
 * Everything that was ever appended to a log, and the records after each position. It parses the
 * bytes itself, so that mistakes in the store's parser show.
 */
export class LogFold {
  readonly batches: FoldedBatch[] = [];
  readonly takeovers: {
    readonly position: bigint;
    readonly epoch: bigint;
    readonly address: string;
  }[] = [];
  /** The records after each position. */
  readonly #states: Map<bigint, bigint>[] = [new Map()];
  readonly #sequences: bigint[] = [0n];
  #open: { readonly nonce: string; readonly pieces: Buffer[]; lengthBytes: number } | undefined;

  get last(): bigint {
    return BigInt(this.#states.length - 1);
  }

  /** The records after the entry at a position. */
  at(position: bigint): ReadonlyMap<bigint, bigint> {
    const state = this.#states[Number(position)];
    if (state === undefined) throw new Error(`the log never had position ${position}`);
    return state;
  }

  sequenceAt(position: bigint): bigint {
    return this.#sequences[Number(position)]!;
  }

  /** Breaks the log's promise: entries after `position` are lost. */
  forgetAfter(position: bigint): void {
    this.#states.length = Number(position) + 1;
    this.#sequences.length = Number(position) + 1;
    while ((this.batches.at(-1)?.position ?? 0n) > position) this.batches.pop();
    this.#open = undefined;
  }

  append(bytes: Uint8Array): void {
    const entry = Buffer.from(bytes);
    const position = this.last + 1n;
    const state = new Map(this.#states.at(-1));
    let sequence = this.#sequences.at(-1)!;
    if (entry[5] === 2) {
      const address = entry.subarray(HEADER_BYTES).toString();
      this.takeovers.push({ position, epoch: entry.readBigUInt64LE(24), address });
    }
    const batches = entry[5] === 1 ? this.#group(entry) : this.#void();
    for (const writes of batches) {
      sequence++;
      for (const [key, value] of writes) {
        if (value === 0n) state.delete(key);
        else state.set(key, value);
      }
      this.batches.push({ sequence, position, epoch: entry.readBigUInt64LE(24), writes });
    }
    this.#states.push(state);
    this.#sequences.push(sequence);
  }

  #void(): [] {
    this.#open = undefined;
    return [];
  }

  #group(entry: Buffer): [bigint, bigint][][] {
    const nonce = entry.subarray(64, 80).toString('hex');
    const pieceOffset = entry.readUInt32LE(56);
    if (pieceOffset === 0) this.#open = { nonce, pieces: [], lengthBytes: 0 };
    const open = this.#open;
    if (open === undefined || open.nonce !== nonce || open.lengthBytes !== pieceOffset) {
      throw new Error('a piece stands in the log without the pieces before it');
    }
    const piece = entry.subarray(HEADER_BYTES);
    open.pieces.push(piece);
    open.lengthBytes += piece.length;
    const payloadBytes = entry.readUInt32LE(52);
    if (open.lengthBytes < payloadBytes) return [];
    this.#open = undefined;
    const payload = Buffer.concat(open.pieces);
    const decoded = entry[6] === 0 ? payload : new Uint8Array(entry.readUInt32LE(48));
    if (entry[6] !== 0 && !decompressInto(decoded, payload)) throw new Error('no zstd payload');
    return splitRows(Buffer.from(decoded), entry.readUInt32LE(40), entry.readUInt32LE(44));
  }
}

function splitRows(decoded: Buffer, batchCount: number, recordCount: number): [bigint, bigint][][] {
  const tableBytes = batchCount > 1 ? 4 * batchCount : 0;
  const table = decoded.length - tableBytes;
  const batches: [bigint, bigint][][] = [];
  let offset = 0;
  for (let batch = 0; batch < batchCount; batch++) {
    const rows = batchCount > 1 ? decoded.readUInt32LE(table + 4 * batch) : recordCount;
    const writes: [bigint, bigint][] = [];
    for (let row = 0; row < rows; row++) {
      const [key, value] = [decoded.readBigUInt64LE(offset), decoded.readBigUInt64LE(offset + 8)];
      const dataBytes = decoded.readUInt32LE(offset + 16);
      // A delete with data deletes all keys up to the one that the data names.
      const last = value === 0n && dataBytes > 0 ? decoded.readBigUInt64LE(offset + 20) : key;
      for (let one = key; one <= last; one++) writes.push([one, value]);
      offset += 20 + dataBytes;
    }
    batches.push(writes);
  }
  return batches;
}

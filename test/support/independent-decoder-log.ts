import { allZero, demand, Fields, FormatError } from './independent-decoder-checks.ts';
import {
  fileHead,
  frameHead,
  isFrameHead,
  payloadOf,
  type FileHead,
  type FrameHead,
  type StoredFile,
} from './independent-decoder-file.ts';

/** Value 0 deletes the key, or all keys from it to `upTo`. */
export interface Row {
  readonly key: bigint;
  readonly value: bigint;
  readonly data: Uint8Array;
  readonly upTo?: bigint;
}

export interface DecodedLog {
  readonly number: number;
  readonly head: FileHead | undefined;
  /** `torn`: broken as by a torn write of the last group. */
  readonly ending: 'sealed' | 'end' | 'torn' | 'damaged' | 'blank';
  readonly rows: readonly Row[];
  readonly batches: readonly (readonly Row[])[];
  readonly validBytes: number;
  readonly lastSequence: bigint;
  readonly chain: number;
}

/** Section "Log" of docs/FORMAT.md. Throws FormatError for what it calls corrupt. */
export function decodeLog(file: StoredFile, storeId: Uint8Array): DecodedLog {
  const head = fileHead(file);
  if (head !== undefined) return new LogWalk(file, head).walk();
  const hasFrames = findHead(file, storeId, 0) >= 0;
  const blank = { number: file.number, head, rows: [], batches: [], validBytes: 0 };
  const isTorn =
    isUnsyncedOnly(file, storeId, 0) || (hasFrames && isPiggybackedSealOnly(file, storeId, 0, 1));
  const ending = hasFrames ? (isTorn ? 'torn' : 'damaged') : 'blank';
  return { ...blank, ending, lastSequence: 0n, chain: 0 };
}

function findHead(file: StoredFile, storeId: Uint8Array, from: number): number {
  for (let at = file.bytes.indexOf(0xb5, from); at >= 0; at = file.bytes.indexOf(0xb5, at + 1)) {
    if (isFrameHead(file, storeId, at)) return at;
  }
  return -1;
}

/** True if every frame header after `brokenAt` declares that nothing there was proven synced. */
function isUnsyncedOnly(file: StoredFile, storeId: Uint8Array, brokenAt: number): boolean {
  let at = findHead(file, storeId, brokenAt + 1);
  for (; at >= 0; at = findHead(file, storeId, at + 1)) {
    const frame = frameHead(file, at);
    if (frame.kind !== 1 || at - frame.unproven > brokenAt) return false;
  }
  return true;
}

/** True if the only frame header from `from` on is the seal written with frame number `frames`. */
function isPiggybackedSealOnly(
  file: StoredFile,
  storeId: Uint8Array,
  from: number,
  frames: number,
): boolean {
  const at = findHead(file, storeId, from);
  const seal = frameHead(file, at);
  const isPiggybacked = seal.kind === 2 && seal.flags === 1 && seal.records === frames;
  return isPiggybacked && findHead(file, storeId, at + 1) < 0;
}

class LogWalk {
  readonly #file: StoredFile;
  readonly #head: FileHead;
  readonly #batches: Row[][] = [];
  #offset = 128;
  #frames = 0;
  #lastSequence: bigint;
  #chain: number;
  #proven = 0;

  constructor(file: StoredFile, head: FileHead) {
    this.#file = file;
    this.#head = head;
    this.#lastSequence = head.previous.lastSequence;
    this.#chain = head.checksum;
  }

  walk(): DecodedLog {
    let ending = this.#step();
    while (ending === undefined) ending = this.#step();
    return {
      number: this.#file.number,
      head: this.#head,
      ending,
      rows: this.#batches.flat(),
      batches: this.#batches,
      validBytes: this.#offset,
      lastSequence: this.#lastSequence,
      chain: this.#chain,
    };
  }

  #step(): 'sealed' | 'end' | 'torn' | 'damaged' | undefined {
    const { bytes } = this.#file;
    if (allZero(bytes.subarray(this.#offset, this.#offset + 48))) {
      return allZero(bytes.subarray(this.#offset)) ? 'end' : this.#broken();
    }
    if (!isFrameHead(this.#file, this.#head.storeId, this.#offset)) return this.#broken();
    const frame = frameHead(this.#file, this.#offset);
    demand(frame.chain === this.#chain, 'frames are chained');
    if (frame.kind === 2) return this.#seal(frame);
    demand(frame.kind === 1, 'a log holds batches and a seal');
    demand(frame.sequence === this.#lastSequence + 1n, 'sequences go on');
    this.#prove(frame);
    const payload = payloadOf(this.#file, this.#head.storeId, this.#offset, frame);
    if (payload === undefined) return this.#broken();
    this.#batches.push(...batchesOf(payload, frame, this.#head.version));
    this.#offset += 48 + frame.payloadBytes;
    this.#frames++;
    this.#lastSequence += BigInt(frame.batches);
    this.#chain = frame.checksum;
    return undefined;
  }

  /** What was proven synced stays so. The file header is proven by the first group. */
  #prove(frame: FrameHead): void {
    demand(frame.unproven === 0 || this.#head.version >= 2, 'version 1 reserves the bytes');
    const proven = this.#frames === 0 ? 0 : this.#offset - frame.unproven;
    demand(proven >= this.#proven, 'what is proven synced stays so');
    this.#proven = proven;
  }

  #seal(frame: FrameHead): 'sealed' {
    demand(frame.sequence === this.#lastSequence, 'the seal names the last sequence');
    demand(frame.records === this.#frames, 'the seal counts the frames');
    this.#offset += 48;
    this.#chain = frame.checksum;
    const behind = findHead(this.#file, this.#head.storeId, this.#offset);
    demand(behind < 0, 'no frame stands behind the seal');
    return 'sealed';
  }

  #broken(): 'torn' | 'damaged' {
    const from = this.#offset + 1;
    const { storeId } = this.#head;
    if (isUnsyncedOnly(this.#file, storeId, this.#offset)) return 'torn';
    return isPiggybackedSealOnly(this.#file, storeId, from, this.#frames + 1) ? 'torn' : 'damaged';
  }
}

/** Section "Group". */
function batchesOf(payload: Uint8Array, frame: FrameHead, version: number): Row[][] {
  const tableBytes = frame.batches > 1 ? 4 * frame.batches : 0;
  demand(tableBytes <= payload.length, 'the batch table fits');
  const rows = rowsOf(payload.subarray(0, payload.length - tableBytes), version);
  demand(rows.length === frame.records, 'the rows are as many as the header says');
  if (frame.batches === 1) return [rows];
  const table = new Fields(payload.subarray(payload.length - tableBytes));
  const batches: Row[][] = [];
  let from = 0;
  for (let i = 0; i < frame.batches; i++) {
    const to = from + table.u32(4 * i);
    batches.push(rows.slice(from, to));
    from = to;
  }
  demand(from === rows.length, 'the batches add up');
  return batches;
}

function rowsOf(bytes: Uint8Array, version: number): Row[] {
  const fields = new Fields(bytes);
  const rows: Row[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (offset + 20 > bytes.length) throw new FormatError('a row header fits');
    const [key, value, length] = [
      fields.u64(offset),
      fields.u64(offset + 8),
      fields.u32(offset + 16),
    ];
    offset += 20;
    demand(offset + length <= bytes.length, "a row's data fits");
    if (value === 0n && length !== 0) {
      demand(version >= 3 && length === 8, 'a delete has no data, or a highest key');
      const upTo = fields.u64(offset);
      demand(key <= upTo, 'the ends of a range do not cross');
      rows.push({ key, value, data: new Uint8Array(0), upTo });
    } else rows.push({ key, value, data: bytes.slice(offset, offset + length) });
    offset += length;
  }
  return rows;
}

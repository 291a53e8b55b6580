import { viewOf } from '../../src/base/bytes.ts';
import { FRAME_BATCHES, FRAME_CHUNK, FRAME_INDEX } from '../../src/format/frame.ts';
import type { Random } from '../../src/testing/engine/random.ts';
import {
  CHAIN_AT,
  DECODED_BYTES_AT,
  kindOf,
  PAYLOAD_BYTES_AT,
  type FileModel,
  type FrameModel,
} from './file-model.ts';
import { disturb, mutated, mutatedInPlace, noise, oneIn, pick } from './mutation.ts';

/** Offset and width of a field in the format. */
type Field = readonly [offset: number, widthBytes: number];

export const FILE_HEADER_FIELDS: readonly Field[] = [
  [8, 4],
  [12, 4],
  [16, 8],
  [32, 8],
  [40, 8],
  [48, 8],
  [56, 8],
  [64, 8],
  [72, 4],
  [76, 4],
];
export const FRAME_FIELDS: readonly Field[] = [
  [4, 1],
  [5, 1],
  [6, 2],
  [PAYLOAD_BYTES_AT, 4],
  [DECODED_BYTES_AT, 4],
  [16, 8],
  [24, 4],
  [28, 4],
  [CHAIN_AT, 4],
  [40, 4],
];
const CHUNK_FIELDS: readonly Field[] = [
  [0, 4],
  [4, 1],
  [5, 1],
  [6, 1],
  [7, 1],
  [8, 8],
  [16, 8],
  [24, 4],
  [28, 4],
];
const INDEX_FIELDS: readonly Field[] = [
  [0, 8],
  [8, 4],
  [12, 4],
  [16, 8],
  [24, 8],
  [32, 4],
  [36, 4],
];
export const TRAILER_FIELDS: readonly Field[] = [
  [8, 8],
  [16, 8],
  [24, 8],
  [32, 4],
  [36, 4],
  [40, 4],
];
/** Fields of a row: key, value, length of its data. */
const ROW_FIELDS: readonly Field[] = [
  [0, 8],
  [8, 8],
  [16, 4],
];

function disturbField(
  random: Random,
  bytes: Uint8Array,
  fields: readonly Field[],
  base = 0,
): number {
  const [offset, widthBytes] = pick(random, fields);
  disturb(random, bytes, base + offset, widthBytes);
  return offset;
}

/** Offsets of the whole rows. */
function rowOffsets(rows: Uint8Array): number[] {
  const view = viewOf(rows);
  const offsets: number[] = [];
  for (let offset = 0; offset + 20 <= rows.length && offsets.length < 5000;) {
    offsets.push(offset);
    offset += 20 + view.getUint32(offset + 16, true);
  }
  return offsets.length === 0 ? [0] : offsets;
}

export function disturbChunk(random: Random, chunk: Uint8Array): Uint8Array {
  const bytes = chunk.slice();
  disturbField(random, bytes, CHUNK_FIELDS);
  if (oneIn(random, 4)) disturbField(random, bytes, CHUNK_FIELDS);
  return oneIn(random, 4) ? mutated(random, bytes, chunk) : bytes;
}

export function disturbIndex(random: Random, index: Uint8Array): Uint8Array {
  const bytes = index.slice();
  const entryCount = Math.floor(Math.max(0, bytes.length - 32) / 40);
  disturbField(random, bytes, INDEX_FIELDS, 40 * random.below(entryCount + 1));
  return bytes;
}

export function disturbRows(random: Random, rows: Uint8Array): Uint8Array {
  const bytes = rows.slice();
  disturbField(random, bytes, ROW_FIELDS, pick(random, rowOffsets(bytes)));
  return bytes;
}

export function disturbPayload(random: Random, kind: number, payload: Uint8Array): Uint8Array {
  if (oneIn(random, 3)) return mutated(random, payload, payload);
  if (oneIn(random, 3)) return mutatedInPlace(random, payload);
  if (kind === FRAME_CHUNK) return disturbChunk(random, payload);
  if (kind === FRAME_INDEX) return disturbIndex(random, payload);
  return disturbRows(random, payload);
}

function disturbFrame(random: Random, frame: FrameModel): void {
  switch (random.below(4)) {
    case 0:
      frame.forged.add(disturbField(random, frame.head, FRAME_FIELDS));
      break;
    case 1:
      frame.disturbStored = (stored) => mutated(random, stored, stored);
      break;
    default:
      frame.payload = disturbPayload(random, kindOf(frame), frame.payload);
  }
}

function copyOf(frame: FrameModel): FrameModel {
  return { ...frame, head: frame.head.slice(), forged: new Set(frame.forged) };
}

function reorder(random: Random, frames: FrameModel[]): void {
  const at = random.below(frames.length);
  const to = random.below(frames.length + 1);
  const [frame] = oneIn(random, 2) ? frames.splice(at, 1) : frames.slice(at, at + 1);
  if (frame !== undefined && !oneIn(random, 3)) frames.splice(to, 0, copyOf(frame));
}

/** The two counts of a group are only consistent with the rows together. */
function recount(random: Random, frame: FrameModel): void {
  const view = viewOf(frame.head);
  if (kindOf(frame) !== FRAME_BATCHES) return;
  disturb(random, frame.head, pick(random, [24, 28]), 4);
  if (oneIn(random, 2)) view.setUint32(24, 1, true);
}

/** Changes a file in one to three places, before its checksums are computed. */
export function disturbFile(random: Random, model: FileModel): void {
  model.renumbers = !oneIn(random, 4);
  for (let steps = 1 + random.below(3); steps > 0; steps--) {
    const frame = model.frames.length === 0 ? undefined : pick(random, model.frames);
    const step = random.below(8);
    if (frame === undefined || step === 0) disturbField(random, model.header, FILE_HEADER_FIELDS);
    else if (step === 1) reorder(random, model.frames);
    else if (step === 2) recount(random, frame);
    else if (step === 3 && model.kind === 'log') model.tail = noise(random, random.below(300));
    else if (step === 3) disturbField(random, model.tail, TRAILER_FIELDS);
    else disturbFrame(random, frame);
  }
}

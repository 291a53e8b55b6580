import { equalBytes, viewOf } from '../../../src/base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES, MAX_FRAME_PAYLOAD_BYTES } from '../../../src/base/limits.ts';
import { ChecksumSeed } from '../../../src/format/checksum.ts';
import {
  CHUNK_HEAD_BYTES,
  chunkBoundBytes,
  decodeChunk,
  encodeChunk,
} from '../../../src/format/chunk.ts';
import type { Columns } from '../../../src/format/columns.ts';
import { FILE_HEADER_BYTES } from '../../../src/format/file-header.ts';
import { FRAME_CHUNK, FRAME_HEADER_BYTES, FRAME_INDEX } from '../../../src/format/frame.ts';
import {
  decodeIndex,
  decodeTrailer,
  encodeIndex,
  encodeTrailer,
  TRAILER_BYTES,
} from '../../../src/format/snapshot-index.ts';
import { columnsOf } from '../../../test/support/columns.ts';
import { STORE_ID } from '../../../test/support/small-directory.ts';
import type { CorpusFile } from '../corpus.ts';
import { kindOf } from '../file-model.ts';
import { bytesInput, bytesOf, parameterOf, type FuzzInput } from '../fuzz-input.ts';
import { disturbChunk, disturbIndex, TRAILER_FIELDS } from '../model-mutation.ts';
import { disturb, mutated, oneIn, pick, strangeU32 } from '../mutation.ts';
import { check, type Outcome, type Target } from '../target.ts';
import { framesOf, modelsOf, SMALL_BYTES } from './format.ts';

const NUMBER_COLUMNS = ['keyLow', 'keyHigh', 'valueLow', 'valueHigh', 'dataEnd'] as const;

/** Size of columns in memory, in bytes. */
export function columnBytes(columns: Columns): number {
  return columns.data.buffer.byteLength;
}

function joined(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** What readers rely on for any bytes: keys ascend, no value is a delete, data are in bounds. */
export function checkColumns(columns: Columns): void {
  const { recordCount, firstKey, keyLow, keyHigh, valueLow, valueHigh, dataEnd, data } = columns;
  let before = -1n;
  let end = 0;
  for (let i = 0; i < recordCount; i++) {
    const key = firstKey + joined(keyLow[i]!, keyHigh?.[i] ?? 0);
    check(key > before && key < 2n ** 64n, 'keys ascend and are u64');
    before = key;
    const value = columns.valueBase + joined(valueLow[i]!, valueHigh?.[i] ?? 0);
    check(value > 0n && value < 2n ** 64n, 'values are u64 and not 0');
    const next = dataEnd === null ? end + columns.dataLength : dataEnd[i]!;
    check(next >= end, 'data follows data');
    end = next;
  }
  check(before === columns.lastKey, 'the last key is the last one');
  check(end === data.length, 'all data belongs to a record');
}

function checkSameColumns(a: Columns, b: Columns): void {
  check(a.recordCount === b.recordCount, 'as many records');
  check(a.firstKey === b.firstKey && a.lastKey === b.lastKey, 'the same keys at the ends');
  check(a.valueBase === b.valueBase && equalBytes(a.data, b.data), 'the same data');
  for (const name of NUMBER_COLUMNS) {
    for (let i = 0; i < a.recordCount; i++) {
      const absent = name === 'dataEnd' ? undefined : 0;
      const [x, y] = [a[name]?.[i] ?? absent, b[name]?.[i] ?? absent];
      // Lengths that are all 0 are decoded as one length.
      if (x !== undefined && y !== undefined) check(x === y, `the same ${name}`);
    }
  }
}

/** Records of larger chunks are only decoded, not checked one by one. */
const LOOKED_AT_RECORDS = 50_000;

function runChunk(input: FuzzInput): Outcome {
  const bytes = bytesOf(input);
  const columns = decodeChunk(bytes);
  const count = bytes.length < CHUNK_HEAD_BYTES ? 0 : viewOf(bytes).getUint32(0, true);
  const trusted = Math.min(count, MAX_FRAME_DECODED_BYTES / 8);
  const boundBytes = SMALL_BYTES + 20 * trusted + bytes.length;
  if (typeof columns === 'string') return { text: columns, boundBytes };
  check(columnBytes(columns) <= boundBytes, 'columns are within their bound');
  if (columns.recordCount > LOOKED_AT_RECORDS) return { text: 'a large chunk', boundBytes };
  checkColumns(columns);
  const target = new Uint8Array(chunkBoundBytes(columns));
  const again = decodeChunk(target.subarray(0, encodeChunk(target, columns)));
  check(typeof again === 'object', 'a chunk encodes to one');
  checkSameColumns(columns, again);
  const wide = `${columns.keyHigh !== null} ${columns.valueHigh !== null} ${columns.dataEnd !== null}`;
  return { text: `chunk ${wide}`, boundBytes: 6 * boundBytes };
}

/** Consecutive keys, one value, no data: only the head has the number of records. */
function bareChunk(): Uint8Array {
  const records = [1n, 2n, 3n].map((key) => ({ key, value: 9n, data: new Uint8Array(0) }));
  const columns = columnsOf(records);
  const target = new Uint8Array(chunkBoundBytes(columns));
  return target.slice(0, encodeChunk(target, columns));
}

export function chunkTarget(files: readonly CorpusFile[]): Target {
  const payloads = framesOf(files, FRAME_CHUNK).map(({ payload }) => payload);
  return {
    name: 'chunk',
    perTurn: 60,
    seeds: [bareChunk(), ...payloads].map((payload) => bytesInput(payload)),
    mutate: (random, input) => bytesInput(disturbChunk(random, bytesOf(input))),
    run: runChunk,
  };
}

export function indexTarget(files: readonly CorpusFile[]): Target {
  const seeds = modelsOf(files).flatMap((model) => {
    const index = model.frames.find((frame) => kindOf(frame) === FRAME_INDEX);
    if (index === undefined || model.tail.length < TRAILER_BYTES) return [];
    const trailer = viewOf(model.tail);
    return bytesInput(index.payload, {
      chunkCount: trailer.getUint32(32, true),
      indexOffset: Number(trailer.getBigUint64(8, true)),
    });
  });
  return {
    name: 'index',
    perTurn: 100,
    seeds,
    mutate(random, input) {
      let bytes = bytesOf(input);
      bytes = oneIn(random, 3) ? mutated(random, bytes, bytes) : disturbIndex(random, bytes);
      const parameters = { ...input.parameters };
      const name = pick(random, ['chunkCount', 'indexOffset', '', '', '']);
      if (name !== '') parameters[name] = strangeU32(random, parameterOf(input, name));
      return bytesInput(bytes, parameters);
    },
    run(input): Outcome {
      const bytes = bytesOf(input);
      const chunkCount = parameterOf(input, 'chunkCount');
      const offset = parameterOf(input, 'indexOffset');
      const old = decodeIndex(bytes, chunkCount, offset, 1);
      const index = decodeIndex(bytes, chunkCount, offset, 2);
      check(typeof old === 'string' || typeof index !== 'string', 'what version 1 takes, 2 takes');
      if (typeof index === 'string') return { text: index, boundBytes: SMALL_BYTES };
      check(equalBytes(encodeIndex(index), bytes), 'an index encodes as it was');
      const end = index.entries.reduce((sum, entry) => sum + entry.lengthBytes, FILE_HEADER_BYTES);
      check(end === offset, 'the chunks reach up to the index');
      return { text: 'index', boundBytes: SMALL_BYTES + bytes.length };
    },
  };
}

const TRAILER_SEED = new ChecksumSeed(STORE_ID, 'snapshot', 1);

export function trailerTarget(files: readonly CorpusFile[]): Target {
  const seeds = modelsOf(files)
    .filter((model) => model.kind === 'snapshot' && model.tail.length === TRAILER_BYTES)
    .map((model) =>
      bytesInput(model.tail, { fileBytes: Number(viewOf(model.tail).getBigUint64(24, true)) }),
    );
  return {
    name: 'trailer',
    perTurn: 100,
    seeds,
    mutate(random, input) {
      let bytes: Uint8Array = bytesOf(input).slice();
      if (oneIn(random, 4)) bytes = mutated(random, bytes, bytes);
      const [offset, widthBytes] = pick(random, TRAILER_FIELDS);
      disturb(random, bytes, offset, widthBytes);
      let fileBytes = parameterOf(input, 'fileBytes');
      if (oneIn(random, 3)) fileBytes = TRAILER_BYTES + strangeU32(random, fileBytes);
      if (bytes.length === TRAILER_BYTES && !oneIn(random, 5)) {
        const covered = bytes.subarray(0, TRAILER_BYTES - 4);
        if (oneIn(random, 2)) viewOf(bytes).setBigUint64(24, BigInt(fileBytes), true);
        const checksum = TRAILER_SEED.checksum(covered, fileBytes - TRAILER_BYTES);
        viewOf(bytes).setUint32(TRAILER_BYTES - 4, checksum, true);
      }
      return bytesInput(bytes, { fileBytes });
    },
    run(input): Outcome {
      const bytes = bytesOf(input);
      const trailer = decodeTrailer(bytes, TRAILER_SEED, parameterOf(input, 'fileBytes'));
      if (typeof trailer === 'string') return { text: trailer, boundBytes: SMALL_BYTES };
      check(equalBytes(encodeTrailer(trailer, TRAILER_SEED), bytes), 'a trailer encodes as it was');
      const indexBytes = trailer.fileBytes - TRAILER_BYTES - trailer.indexOffset;
      check(
        indexBytes >= FRAME_HEADER_BYTES &&
          indexBytes <= FRAME_HEADER_BYTES + MAX_FRAME_PAYLOAD_BYTES &&
          trailer.indexOffset >= FILE_HEADER_BYTES,
        'an index lies between header and trailer, and is no longer than a frame',
      );
      return { text: 'trailer', boundBytes: SMALL_BYTES };
    },
  };
}

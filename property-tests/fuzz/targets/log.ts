import { MAX_FRAME_DECODED_BYTES } from '../../../src/base/limits.ts';
import { viewOf } from '../../../src/base/bytes.ts';
import { ChecksumSeed } from '../../../src/format/checksum.ts';
import type { Columns } from '../../../src/format/columns.ts';
import { decodeFileHeader, FILE_HEADER_BYTES } from '../../../src/format/file-header.ts';
import { logName } from '../../../src/format/file-name.ts';
import { FileWindow } from '../../../src/fs/file-window.ts';
import { findFrames } from '../../../src/log/frame-search.ts';
import { scanRun } from '../../../src/jobs/scan-run.ts';
import { scanLog } from '../../../src/log/log-scan.ts';
import type { Random } from '../../../src/testing/engine/random.ts';
import { openedFile, readOnlyFiles } from '../../../test/support/read-only-files.ts';
import { STORE_ID } from '../../../test/support/small-directory.ts';
import { disturbAncestorFile } from '../ancestor-model.ts';
import type { CorpusFile } from '../corpus.ts';
import { buildFile, parseFile } from '../file-model.ts';
import { bytesInput, bytesOf, parameterOf, type FuzzInput } from '../fuzz-input.ts';
import { disturbFile } from '../model-mutation.ts';
import { mutated, oneIn } from '../mutation.ts';
import { check, type Outcome, type Target } from '../target.ts';

/** Buffers of a scan that do not depend on the log: its window and the first block of rows. */
const FIXED_BYTES = 4 * 1024 * 1024;

/** A mutated file of ours or of the ancestor, with valid checksums in three of four cases. */
export function mutateFile(
  random: Random,
  bytes: Uint8Array,
  kind: 'log' | 'snapshot',
  number: number,
  other: Uint8Array,
): Uint8Array {
  if (oneIn(random, 4)) return mutated(random, bytes, other);
  const isOurs = bytes[0] === 0x4c && bytes[7] === 0xf1;
  const model = isOurs ? parseFile(bytes, kind, number) : undefined;
  if (model === undefined) return disturbAncestorFile(random, bytes);
  disturbFile(random, model);
  return buildFile(model);
}

function logSeeds(files: readonly CorpusFile[]): FuzzInput[] {
  return files
    .filter((file) => file.kind === 'log')
    .map(({ bytes, number }) => bytesInput(bytes, { number }));
}

function mutateLog(random: Random, input: FuzzInput): FuzzInput {
  const number = parameterOf(input, 'number');
  const bytes = bytesOf(input);
  return bytesInput(mutateFile(random, bytes, 'log', number, bytes), { number });
}

interface Update {
  readonly value: bigint;
  readonly data: string;
}

/** The last update of each key, in the simplest way. */
function foldRows(into: Map<bigint, Update>, rows: Uint8Array): void {
  const view = viewOf(rows);
  for (let offset = 0; offset < rows.length;) {
    const dataBytes = view.getUint32(offset + 16, true);
    const data = Buffer.from(rows.subarray(offset + 20, offset + 20 + dataBytes)).toString(
      'latin1',
    );
    into.set(view.getBigUint64(offset, true), { value: view.getBigUint64(offset + 8, true), data });
    offset += 20 + dataBytes;
  }
}

function checkRun(run: readonly Columns[], updates: ReadonlyMap<bigint, Update>): void {
  let before = -1n;
  let count = 0;
  for (const columns of run) {
    const { keyLow, keyHigh, valueLow, valueHigh, dataEnd, dataLength, data } = columns;
    for (let i = 0; i < columns.recordCount; i++) {
      const key = columns.firstKey + (BigInt(keyHigh?.[i] ?? 0) << 32n) + BigInt(keyLow[i]!);
      const value = columns.valueBase + (BigInt(valueHigh?.[i] ?? 0) << 32n) + BigInt(valueLow[i]!);
      const end = dataEnd === null ? (i + 1) * dataLength : dataEnd[i]!;
      const start = dataEnd === null ? end - dataLength : (dataEnd[i - 1] ?? 0);
      check(key > before, 'a run ascends');
      const update = updates.get(key);
      check(update?.value === value, 'a run holds the last value of each key');
      const bytes = Buffer.from(data.subarray(start, end)).toString('latin1');
      check(update.data === bytes, 'a run holds the last data of each key');
      before = key;
      count++;
    }
  }
  check(count === updates.size, 'a run holds every key once');
}

const NEVER = new AbortController().signal;

async function runLog(input: FuzzInput): Promise<Outcome> {
  const number = parameterOf(input, 'number');
  const bytes = bytesOf(input);
  const fs = readOnlyFiles(new Map([[logName(number), bytes]]));
  const path = `/s/${logName(number)}`;
  const storeId = STORE_ID;
  const updates = new Map<bigint, Update>();
  let rowBytes = 0;
  const scan = await scanLog(fs, path, {
    number,
    storeId,
    onGroup: (group) => {
      rowBytes += group.rows.length + 4 * group.batchRecordCounts.length;
      if (rowBytes < FIXED_BYTES) foldRows(updates, group.rows);
    },
  });
  check(scan.validBytes <= bytes.length, 'what is valid lies in the file');
  const { parts } = await scanRun(fs, path, { number, storeId, signal: NEVER });
  const [only] = parts;
  if (rowBytes < FIXED_BYTES && parts.length === 1) checkRun(only!.run, updates);
  const { ending } = scan;
  const reason = 'reason' in ending ? ending.reason : '';
  const later = ending.kind === 'broken' ? ending.later.kind : '';
  // One frame that cannot be decoded may have declared the maximum size, in each of two passes.
  const claimed = 2 * MAX_FRAME_DECODED_BYTES;
  const boundBytes = FIXED_BYTES * 4 + 8 * bytes.length + 16 * rowBytes + claimed;
  return { text: `${scan.format} ${ending.kind} ${reason} ${later}`, boundBytes };
}

export function logTarget(files: readonly CorpusFile[]): Target {
  return { name: 'log', perTurn: 15, seeds: logSeeds(files), mutate: mutateLog, run: runLog };
}

async function runFindFrames(input: FuzzInput): Promise<Outcome> {
  const bytes = bytesOf(input);
  const number = parameterOf(input, 'number');
  const header = decodeFileHeader(bytes.subarray(0, FILE_HEADER_BYTES), 'log', number);
  const storeId = header.kind === 'header' ? header.header.storeId : STORE_ID;
  const seed = new ChecksumSeed(storeId, 'log', number);
  let end = 0;
  let found = 0;
  let decodedBytes = 0;
  for await (const frame of findFrames(new FileWindow(openedFile(bytes), bytes.length), seed, 0)) {
    check(frame.offset >= end, 'frames that are found do not overlap');
    end = frame.offset + frame.lengthBytes;
    check(end <= bytes.length, 'a frame lies in the file');
    check(frame.payload.length === frame.header.decodedBytes, 'a payload is as long as it says');
    decodedBytes += frame.payload.length;
    found++;
  }
  const boundBytes = FIXED_BYTES + 2 * bytes.length + decodedBytes + claimedBytes(bytes, seed);
  return { text: `${found} frames`, boundBytes };
}

/** Declared sizes of the frames with valid headers whose payload cannot be decoded. */
function claimedBytes(bytes: Uint8Array, seed: ChecksumSeed): number {
  let claimed = 0;
  const view = viewOf(bytes);
  for (let at = bytes.indexOf(0xb5); at >= 0; at = bytes.indexOf(0xb5, at + 1)) {
    if (at + 48 > bytes.length) break;
    const holds = seed.checksum(bytes.subarray(at, at + 44), at) === view.getUint32(at + 44, true);
    if (holds) claimed += Math.min(view.getUint32(at + 12, true), MAX_FRAME_DECODED_BYTES);
  }
  return claimed;
}

export function findFramesTarget(files: readonly CorpusFile[]): Target {
  const ours = files.filter((file) => !file.isAncestor);
  return {
    name: 'find-frames',
    perTurn: 15,
    seeds: logSeeds(ours),
    mutate: mutateLog,
    run: runFindFrames,
  };
}

import { equalBytes, viewOf } from '../../../src/base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES } from '../../../src/base/limits.ts';
import { ChecksumSeed, type FileKind } from '../../../src/format/checksum.ts';
import { CODEC_ZSTD } from '../../../src/format/compression.ts';
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
} from '../../../src/format/file-header.ts';
import {
  decodeFrameHeader,
  decodePayload,
  encodeFrame,
  FRAME_HEADER_BYTES,
} from '../../../src/format/frame.ts';
import { batchTableBytes, decodeGroup } from '../../../src/format/group-rows.ts';
import type { Random } from '../../../src/testing/engine/random.ts';
import { STORE_ID } from '../../../test/support/small-directory.ts';
import type { CorpusFile } from '../corpus.ts';
import { kindOf, parseFile, type FileModel, type FrameModel } from '../file-model.ts';
import { bytesInput, bytesOf, parameterOf, type FuzzInput } from '../fuzz-input.ts';
import { disturbPayload, FILE_HEADER_FIELDS, FRAME_FIELDS } from '../model-mutation.ts';
import { disturb, mutated, oneIn, pick, strangeU32 } from '../mutation.ts';
import { check, type Outcome, type Target } from '../target.ts';

/** Allocation that every decoder may make for itself. */
export const SMALL_BYTES = 4096;

const KINDS: readonly FileKind[] = ['log', 'snapshot'];

function kindParameter(input: FuzzInput): FileKind {
  return KINDS[parameterOf(input, 'kind')]!;
}

/** Our files as parsed models. */
export function modelsOf(files: readonly CorpusFile[]): FileModel[] {
  return files
    .filter((file) => !file.isAncestor)
    .map((file) => parseFile(file.bytes, file.kind, file.number))
    .filter((model) => model !== undefined);
}

/** The payloads of one kind of frame, with their headers. */
export function framesOf(files: readonly CorpusFile[], kind: number): FrameModel[] {
  return modelsOf(files).flatMap((model) =>
    model.frames.filter((frame) => kindOf(frame) === kind && frame.isDecoded),
  );
}

export function fileHeaderTarget(files: readonly CorpusFile[]): Target {
  const seeds = files.map(({ kind, number, bytes }) =>
    bytesInput(bytes.slice(0, FILE_HEADER_BYTES + 9), { kind: KINDS.indexOf(kind), number }),
  );
  return {
    name: 'file-header',
    perTurn: 200,
    seeds,
    mutate(random, input) {
      const bytes = mutateFields(random, bytesOf(input), FILE_HEADER_FIELDS);
      const number = parameterOf(input, 'number');
      if (bytes.length >= FILE_HEADER_BYTES && !oneIn(random, 4)) {
        const seed = new ChecksumSeed(bytes.subarray(16, 32), kindParameter(input), number);
        const at = FILE_HEADER_BYTES - 4;
        viewOf(bytes).setUint32(at, seed.checksum(bytes.subarray(0, at), 0), true);
      }
      return bytesInput(bytes, { ...input.parameters });
    },
    run(input): Outcome {
      const bytes = bytesOf(input);
      const result = decodeFileHeader(bytes, kindParameter(input), parameterOf(input, 'number'));
      if (result.kind === 'header') {
        const again = new Uint8Array(FILE_HEADER_BYTES);
        encodeFileHeader(again, result.header, result.header.version);
        check(
          equalBytes(again, bytes.subarray(0, FILE_HEADER_BYTES)),
          'a header encodes as it was',
        );
      }
      return { text: textOf(result), boundBytes: SMALL_BYTES };
    },
  };
}

function textOf(result: { readonly kind: string; readonly reason?: string }): string {
  return `${result.kind}: ${result.reason ?? ''}`;
}

function mutateFields(
  random: Random,
  original: Uint8Array,
  fields: readonly (readonly [number, number])[],
): Uint8Array {
  if (oneIn(random, 4)) return mutated(random, original, original);
  const bytes = original.slice();
  for (let steps = 1 + random.below(3); steps > 0; steps--) {
    const [offset, widthBytes] = pick(random, fields);
    disturb(random, bytes, offset, widthBytes);
  }
  return bytes;
}

const FRAME_SEED = new ChecksumSeed(STORE_ID, 'log', 1);

function mutateFrame(random: Random, input: FuzzInput): FuzzInput {
  const bytes = bytesOf(input);
  let head: Uint8Array = bytes.slice(0, FRAME_HEADER_BYTES);
  let payload: Uint8Array = bytes.slice(FRAME_HEADER_BYTES);
  if (oneIn(random, 2)) payload = mutated(random, payload, payload);
  if (head.length === FRAME_HEADER_BYTES) {
    // The length of the payload, unless the next line changes it.
    if (!oneIn(random, 4)) viewOf(head).setUint32(8, payload.length, true);
    if (oneIn(random, 2)) head = mutateFields(random, head, FRAME_FIELDS);
  }
  const fileOffset = parameterOf(input, 'fileOffset');
  if (head.length === FRAME_HEADER_BYTES && !oneIn(random, 5)) {
    const view = viewOf(head);
    view.setUint32(36, FRAME_SEED.checksum(payload, fileOffset + FRAME_HEADER_BYTES), true);
    view.setUint32(44, FRAME_SEED.checksum(head.subarray(0, 44), fileOffset), true);
  }
  return bytesInput(new Uint8Array(Buffer.concat([head, payload])), { fileOffset });
}

function runFrame(input: FuzzInput): Outcome {
  const bytes = bytesOf(input);
  const fileOffset = parameterOf(input, 'fileOffset');
  const result = decodeFrameHeader(bytes, 0, FRAME_SEED, fileOffset);
  if (result.kind !== 'frame') return { text: textOf(result), boundBytes: SMALL_BYTES };
  const { header } = result;
  const end = FRAME_HEADER_BYTES + header.payloadBytes;
  if (end > bytes.length) return { text: 'longer than the file', boundBytes: SMALL_BYTES };
  const stored = bytes.subarray(FRAME_HEADER_BYTES, end);
  const decoded = decodePayload(stored, header, FRAME_SEED, fileOffset + FRAME_HEADER_BYTES);
  if (decoded.kind === 'payload') {
    check(decoded.bytes.length === header.decodedBytes, 'a payload is as long as it says');
    const again = bytes.slice(0, end);
    encodeFrame(again, 0, header, FRAME_SEED, fileOffset);
    check(equalBytes(again, bytes.subarray(0, end)), 'a frame encodes as it was');
  }
  const claimed = header.codec === CODEC_ZSTD ? header.decodedBytes : 0;
  check(claimed <= MAX_FRAME_DECODED_BYTES, 'no header passes that claims more than the limit');
  return { text: `${header.kind} ${textOf(decoded)}`, boundBytes: SMALL_BYTES + claimed };
}

export function frameTarget(files: readonly CorpusFile[]): Target {
  const seeds = modelsOf(files).flatMap((model) =>
    model.frames.map(({ head, payload }, i) =>
      bytesInput(new Uint8Array(Buffer.concat([head, payload])), { fileOffset: 128 + 48 * i }),
    ),
  );
  return { name: 'frame', perTurn: 100, seeds, mutate: mutateFrame, run: runFrame };
}

export function groupTarget(files: readonly CorpusFile[]): Target {
  const seeds = framesOf(files, 1).map(({ head, payload }) => {
    const view = viewOf(head);
    return bytesInput(payload, {
      batchCount: view.getUint32(24, true),
      recordCount: view.getUint32(28, true),
    });
  });
  return {
    name: 'group',
    perTurn: 100,
    seeds,
    mutate(random, input) {
      const bytes = oneIn(random, 5) ? bytesOf(input) : disturbPayload(random, 1, bytesOf(input));
      const parameters = { ...input.parameters };
      const name = pick(random, ['batchCount', 'recordCount', '', '']);
      if (name !== '') parameters[name] = strangeU32(random, parameterOf(input, name));
      return bytesInput(bytes, parameters);
    },
    run: runGroup,
  };
}

/** The end of the last row, by the lengths that readers use. */
function rowsEnd(rows: Uint8Array): number {
  const view = viewOf(rows);
  let offset = 0;
  while (offset + 20 <= rows.length) offset += 20 + view.getUint32(offset + 16, true);
  return offset;
}

function runGroup(input: FuzzInput): Outcome {
  const bytes = bytesOf(input);
  const [batchCount, recordCount] = [
    parameterOf(input, 'batchCount'),
    parameterOf(input, 'recordCount'),
  ];
  const group = decodeGroup(bytes, batchCount, recordCount);
  const boundBytes = SMALL_BYTES + bytes.length;
  if (typeof group === 'string') return { text: group, boundBytes };
  check(rowsEnd(group.rows) === group.rows.length, 'rows end where the last one does');
  const table = new Uint8Array(batchTableBytes(batchCount));
  let sum = 0;
  for (const [i, count] of group.batchRecordCounts.entries()) {
    sum += count;
    if (table.length > 0) viewOf(table).setUint32(4 * i, count, true);
  }
  check(sum === recordCount, 'the batches add up');
  const again = new Uint8Array(Buffer.concat([group.rows, table]));
  check(equalBytes(again, bytes), 'a group encodes as it was');
  return { text: 'group', boundBytes: SMALL_BYTES + 4 * bytes.length };
}

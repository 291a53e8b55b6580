import { MAX_BATCH_BYTES } from '../../../src/base/limits.ts';
import { ancestorRows } from '../../../src/format/ancestor.ts';
import { countRows } from '../../../src/format/group-rows.ts';
import { readAncestorSnapshot } from '../../../src/jobs/load-ancestor.ts';
import { readOnlyFiles } from '../../../test/support/read-only-files.ts';
import {
  ancestorPayloads,
  disturbAncestorFile,
  disturbAncestorPayload,
} from '../ancestor-model.ts';
import type { CorpusFile } from '../corpus.ts';
import { BYTES, bytesInput, bytesOf, type FuzzInput } from '../fuzz-input.ts';
import { mutated, oneIn } from '../mutation.ts';
import { check, type Outcome, type Target } from '../target.ts';
import { SMALL_BYTES } from './format.ts';

const PIECE_BYTES = 128 * 1024;

function runRows(input: FuzzInput): Outcome {
  const pieces = ancestorRows(bytesOf(input));
  let boundBytes = SMALL_BYTES + 2 * PIECE_BYTES;
  for (;;) {
    const step = pieces.next();
    // An incomplete record is copied at most once per piece.
    boundBytes += 8 * PIECE_BYTES;
    if (step.done === true) {
      return {
        text: `rows end: ${step.value ?? 'whole'}`,
        boundBytes: boundBytes + 4 * MAX_BATCH_BYTES,
      };
    }
    check(countRows(step.value) >= 0, 'rows that are yielded are whole');
  }
}

export function ancestorRowsTarget(files: readonly CorpusFile[]): Target {
  const seeds = files
    .filter((file) => file.isAncestor)
    .flatMap((file) => ancestorPayloads(file.bytes).slice(0, 4))
    .map((payload) => bytesInput(payload));
  return {
    name: 'ancestor-rows',
    perTurn: 20,
    seeds,
    mutate: (random, input) => bytesInput(disturbAncestorPayload(random, bytesOf(input))),
    run: runRows,
  };
}

const NEVER = new AbortController().signal;

export function ancestorSnapshotTarget(files: readonly CorpusFile[]): Target {
  return {
    name: 'ancestor-snapshot',
    perTurn: 10,
    seeds: files
      .filter((file) => file.isAncestor && file.kind === 'snapshot')
      .map((file) => bytesInput(file.bytes)),
    mutate(random, input) {
      const bytes = bytesOf(input);
      return bytesInput(
        oneIn(random, 3) ? mutated(random, bytes, bytes) : disturbAncestorFile(random, bytes),
      );
    },
    async run(input) {
      const result = await readAncestorSnapshot(readOnlyFiles(input.files), `/s/${BYTES}`, NEVER);
      const text = Array.isArray(result) ? 'records' : result.reason;
      return { text, boundBytes: 8 * MAX_BATCH_BYTES };
    },
  };
}

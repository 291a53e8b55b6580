import { FILE_HEADER_BYTES } from '../../../src/format/file-header.ts';
import { ChunkReader, readSnapshot } from '../../../src/snapshot/snapshot-reader.ts';
import { openedFile } from '../../../test/support/read-only-files.ts';
import type { CorpusFile } from '../corpus.ts';
import { bytesInput, bytesOf, parameterOf, type FuzzInput } from '../fuzz-input.ts';
import { check, type Outcome, type Target } from '../target.ts';
import { mutateFile } from './log.ts';
import { checkColumns, columnBytes } from './snapshot-format.ts';

const FIXED_BYTES = 4 * 1024 * 1024;
/** The largest columns of one chunk, and its payload. */
const CHUNK_BYTES = 256 * 1024 * 1024;

async function runSnapshot(input: FuzzInput): Promise<Outcome> {
  const bytes = bytesOf(input);
  const number = parameterOf(input, 'number');
  const file = openedFile(bytes);
  const result = await readSnapshot(file, number);
  let boundBytes = FIXED_BYTES + 64 * 1024 * 1024 + 4 * bytes.length;
  if (result.kind !== 'snapshot') {
    const reason = 'reason' in result ? result.reason : '';
    return { text: `${result.kind} ${reason}`, boundBytes };
  }
  const reader = new ChunkReader(file, result.fileBytes, result.header.storeId, number);
  let records = 0;
  let nextKey = 0n;
  let nextOffset = FILE_HEADER_BYTES;
  for (const [ordinal, entry] of result.index.entries.entries()) {
    check(entry.offset === nextOffset, 'chunks lie one behind the other');
    nextOffset += entry.lengthBytes;
    const columns = await reader.read(entry, ordinal);
    if ('kind' in columns) {
      return { text: `chunk: ${columns.reason}`, boundBytes: boundBytes + CHUNK_BYTES };
    }
    boundBytes += 2 * columnBytes(columns) + columns.data.length;
    boundBytes += 32 * columns.recordCount;
    if (columns.recordCount < 50_000) checkColumns(columns);
    check(columns.firstKey >= nextKey, 'chunks ascend');
    nextKey = columns.lastKey + 1n;
    records += columns.recordCount;
  }
  check(records === result.index.totals.recordCount, 'the index counts what is there');
  return { text: `snapshot of ${result.index.entries.length > 1 ? 'chunks' : 'few'}`, boundBytes };
}

export function snapshotTarget(files: readonly CorpusFile[]): Target {
  return {
    name: 'snapshot',
    perTurn: 15,
    seeds: files
      .filter((file) => file.kind === 'snapshot')
      .map(({ bytes, number }) => bytesInput(bytes, { number })),
    mutate(random, input) {
      const bytes = bytesOf(input);
      const number = parameterOf(input, 'number');
      return bytesInput(mutateFile(random, bytes, 'snapshot', number, bytes), { number });
    },
    run: runSnapshot,
  };
}

import { expect, test } from 'vitest';
import { decodeChunk, chunkBoundBytes, encodeChunk } from '../../src/format/chunk.ts';
import type { ColumnMemory } from '../../src/format/columns-builder.ts';
import type { Columns } from '../../src/format/columns.ts';
import { buffersOf } from '../../src/runs/column-buffers.ts';
import { LogRows } from '../../src/runs/log-rows.ts';
import { columnsOf } from '../support/columns.ts';
import { groupOf } from '../support/small-directory.ts';

const RECORDS = [1n, 5n, 9n].map((key) => ({ key, value: key + 1n, data: Uint8Array.of(1, 2) }));

function decoded(memory: ColumnMemory): Columns {
  const columns = columnsOf(RECORDS);
  const bytes = new Uint8Array(chunkBoundBytes(columns));
  return decodeChunk(bytes.slice(0, encodeChunk(bytes, columns)), memory) as Columns;
}

function runOf(memory: ColumnMemory): Columns[] {
  const rows = new LogRows(undefined, memory);
  rows.add(groupOf([RECORDS]).decoded);
  return rows.finish();
}

test('own memory is transferred, shared memory is not', () => {
  const own = decoded('own');
  const shared = decoded('shared');
  expect(shared).toEqual(own);
  expect(shared.data.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(buffersOf([own, shared])).toEqual([own.data.buffer]);
});

test('memory of rows of a log is transferred, too', () => {
  const [own] = runOf('own');
  const [shared] = runOf('shared');
  expect(shared).toEqual(own);
  expect(buffersOf([shared!, own!])).toEqual([own!.data.buffer]);
});

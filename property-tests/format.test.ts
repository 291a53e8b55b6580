import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_FILE_NUMBER } from '../src/base/limits.ts';
import { chunkBoundBytes, decodeChunk, encodeChunk } from '../src/format/chunk.ts';
import { ColumnsBuilder } from '../src/format/columns-builder.ts';
import { decodeFileHeader, encodeFileHeader, WRITTEN_VERSION } from '../src/format/file-header.ts';
import { decodeGroup } from '../src/format/group-rows.ts';
import { decodeIndex, encodeIndex, type IndexEntry } from '../src/format/snapshot-index.ts';
import { ancestorRows } from '../src/format/ancestor.ts';
import { scanLog } from '../src/log/log-scan.ts';
import { ancestorFrameOfRows } from '../test/support/ancestor-files.ts';
import { columnsOf, splitOf } from '../test/support/columns.ts';
import { decodeLog } from '../test/support/independent-decoder-log.ts';
import { readOnlyFiles } from '../test/support/read-only-files.ts';
import { groupOf, logOf, NO_PREDECESSOR, STORE_ID } from '../test/support/small-directory.ts';

const MAX = 2n ** 64n - 1n;

const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 300n }),
  fc.bigInt({ min: 2n ** 32n - 3n, max: 2n ** 32n + 3n }),
  fc.bigInt({ min: MAX - 300n, max: MAX }),
  fc.bigInt({ min: 0n, max: MAX }),
);
const fileNumber = fc.integer({ min: 0, max: MAX_FILE_NUMBER });
const data = fc.oneof(fc.constant(new Uint8Array(4)), fc.uint8Array({ maxLength: 300 }));
const value = u64.map((any) => (any === 0n ? 1n : any));

const records = fc
  .uniqueArray(fc.record({ key: u64, value, data }), {
    minLength: 1,
    maxLength: 60,
    selector: ({ key }) => key,
  })
  .map((some) => some.sort((a, b) => (a.key < b.key ? -1 : 1)));

const update = fc
  .record({ key: u64, value: u64, data })
  .map((row) => (row.value === 0n ? { ...row, data: new Uint8Array(0) } : row));
const batches = fc.array(fc.array(update, { maxLength: 8 }), { minLength: 1, maxLength: 6 });

test('chunks are decoded as they were encoded', () => {
  fc.assert(
    fc.property(records, (some) => {
      const columns = columnsOf(some);
      const bytes = new Uint8Array(chunkBoundBytes(columns));
      expect(decodeChunk(bytes.slice(0, encodeChunk(bytes, columns)))).toEqual(columns);
    }),
  );
});

test('the builder makes the same chunks as plain columns', () => {
  fc.assert(
    fc.property(records, (some) => {
      const builder = new ColumnsBuilder();
      for (const one of some) builder.appendRange(splitOf(columnsOf([one])), 0, 1);
      expect(builder.finish()).toEqual(columnsOf(some));
    }),
  );
});

test('a chunk with any byte changed is decoded or refused, and never throws', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.integer({ min: 1, max: 255 }), (some, at, mask) => {
      const columns = columnsOf(some);
      const bytes = new Uint8Array(chunkBoundBytes(columns));
      const chunk = bytes.slice(0, encodeChunk(bytes, columns));
      const view = new DataView(chunk.buffer);
      const place = at % chunk.length;
      view.setUint8(place, view.getUint8(place) ^ mask);
      const decoded = decodeChunk(chunk);
      expect(typeof decoded === 'string' || decoded.recordCount > 0).toBe(true);
    }),
  );
});

test('groups are decoded as they were encoded', () => {
  fc.assert(
    fc.property(batches, (some) => {
      const group = groupOf(some);
      expect(decodeGroup(group.decoded, group.batchCount, group.recordCount)).toEqual({
        rows: groupOf([some.flat()]).decoded,
        batchRecordCounts: Uint32Array.from(some, (batch) => batch.length),
        hasIntervals: false,
      });
    }),
  );
});

test('any bytes are decoded as a group or refused', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(9),
      fc.nat(9),
      (bytes, batchCount, recordCount) => {
        expect(['string', 'object']).toContain(typeof decodeGroup(bytes, batchCount, recordCount));
      },
    ),
  );
});

test('file headers are decoded as they were encoded', () => {
  fc.assert(
    fc.property(
      fc.record({
        number: fileNumber,
        epoch: fileNumber,
        storeId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
        predecessor: fc.record({
          number: fileNumber,
          lengthBytes: fc.maxSafeNat(),
          lastSequence: u64,
          chain: fc.nat(),
        }),
      }),
      (fields) => {
        const header = { ...fields, kind: 'log' as const };
        const bytes = new Uint8Array(128);
        const checksum = encodeFileHeader(bytes, header);
        const expected = {
          kind: 'header',
          header: { ...header, version: WRITTEN_VERSION.log, checksum },
        };
        expect(decodeFileHeader(bytes, 'log', header.number)).toEqual(expected);
      },
    ),
  );
});

test('indexes are decoded as they were encoded', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          lengthBytes: fc.nat(1000),
          gap: fc.nat(5),
          span: fc.nat(9),
          recordCount: fc.integer({ min: 1, max: 99 }),
          checksum: fc.nat(),
          dataBytes: fc.nat(999),
        }),
      ),
      (shapes) => {
        let offset = 128;
        let key = 0n;
        const entries = shapes.map(({ gap, span, ...shape }): IndexEntry => {
          const lengthBytes = 48 + shape.lengthBytes;
          const firstKey = key + BigInt(gap);
          const entry = {
            ...shape,
            offset,
            lengthBytes,
            firstKey,
            lastKey: firstKey + BigInt(span),
          };
          offset += lengthBytes;
          key = entry.lastKey + 1n;
          return entry;
        });
        const recordCount = entries.reduce((sum, entry) => sum + entry.recordCount, 0);
        const dataBytes = entries.reduce((sum, entry) => sum + entry.dataBytes, 0);
        const index = { entries, totals: { recordCount, dataBytes } };
        expect(decodeIndex(encodeIndex(index), entries.length, offset, 1)).toEqual(index);
      },
    ),
  );
});

test('logs are read as the independent decoder reads them', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(batches, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('none' as const, 'alone' as const, 'piggybacked' as const),
      fc.nat(100),
      async (groups, seal, zerosBehind) => {
        const predecessor = { ...NO_PREDECESSOR, number: 8, lastSequence: 2n ** 40n };
        const log = await logOf({ number: 9, groups, seal, zerosBehind, predecessor });
        const decoded = decodeLog({ kind: 'log', number: 9, bytes: log.bytes }, STORE_ID);
        expect(decoded.batches).toEqual(groups.flat());
        expect(decoded.ending).toBe(seal === 'none' ? 'end' : 'sealed');
        const scan = await scanLog(readOnlyFiles(new Map([['log', log.bytes]])), '/log', {
          number: 9,
          storeId: STORE_ID,
        });
        expect(scan).toMatchObject({
          validBytes: decoded.validBytes,
          lastSequence: decoded.lastSequence,
          chain: decoded.chain,
          ending: { kind: decoded.ending },
        });
      },
    ),
  );
});

test("the ancestor's rows are converted to ours", () => {
  fc.assert(
    fc.property(fc.array(update, { maxLength: 20 }), (rows) => {
      const payload = ancestorFrameOfRows(rows).slice(8, -4);
      const pieces = [...ancestorRows(payload)];
      expect(new Uint8Array(Buffer.concat(pieces))).toEqual(groupOf([rows]).decoded);
    }),
  );
});

test('any bytes can be scanned as a log', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
      const scan = await scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
        number: 1,
        storeId: STORE_ID,
      });
      expect(scan.recordCount).toBe(0);
    }),
  );
});

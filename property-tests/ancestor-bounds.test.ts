import zstd from 'zstd-napi/binding.js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ancestorRows } from '../src/format/ancestor.ts';
import { readAncestorSnapshot } from '../src/jobs/load-ancestor.ts';
import { scanLog } from '../src/log/log-scan.ts';
import { ancestorFrameOf, ancestorRowsOf } from '../test/support/ancestor-files.ts';
import { readOnlyFiles } from '../test/support/read-only-files.ts';
import { AllocationMeter } from './fuzz/allocation-meter.ts';
import { compressed } from './fuzz/stored-payload.ts';

const MIB = 1024 * 1024;

function rowsOf(payload: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  const pieces = ancestorRows(payload);
  for (;;) {
    const step = pieces.next();
    if (step.done === true) {
      expect(step.value).toBeUndefined();
      return new Uint8Array(Buffer.concat(parts));
    }
    parts.push(step.value.slice());
  }
}

test('collecting a large record takes memory linear in its length', () => {
  const data = new Uint8Array(8 * MIB).map((_, i) => (i * 7) >>> 3);
  const small = new Uint8Array(100).fill(5);
  const payload = compressed(
    ancestorRowsOf([
      { key: 1n, value: 1n, data: small },
      { key: 2n, value: 2n, data },
      { key: 3n, value: 3n, data: small },
    ]),
  );
  const meter = new AllocationMeter();
  meter.install();
  onTestFinished(() => meter.uninstall());
  const rows = rowsOf(payload);
  const { totalBytes } = meter;
  expect(rows).toHaveLength(3 * 20 + 200 + data.length);
  expect(Buffer.compare(rows.subarray(140, 140 + data.length), data)).toBe(0);
  expect(totalBytes).toBeLessThan(12 * data.length);
});

test('frames are decompressed in one context, because its window is outside the heap', async () => {
  const made = vi.spyOn(zstd, 'DCtx');
  onTestFinished(() => made.mockRestore());
  const frame = ancestorFrameOf(compressed(ancestorRowsOf([{ key: 1n, value: 1n }])));
  const name = 'log_0000000000000001';
  const files = readOnlyFiles(
    new Map([[name, new Uint8Array(Buffer.concat(Array.from({ length: 50 }, () => frame)))]]),
  );
  const scan = await scanLog(files, `/s/${name}`, { number: 1, storeId: undefined });
  expect(scan.recordCount).toBe(50);
  expect(made.mock.calls.length).toBeLessThanOrEqual(1);
});

test('a payload that does not decompress does not affect the next one', async () => {
  const whole = compressed(ancestorRowsOf([{ key: 1n, value: 1n, data: new Uint8Array(3000) }]));
  const broken = [
    whole.subarray(0, whole.length - 1),
    Uint8Array.of(1, 2, 3),
    whole.fill(0xff, 9, 10),
  ];
  const good = compressed(ancestorRowsOf([{ key: 2n, value: 3n }]));
  for (const payload of broken) {
    const pieces = ancestorRows(payload);
    let step = pieces.next();
    while (step.done !== true) step = pieces.next();
    expect(rowsOf(good)).toHaveLength(20);
  }
  // Abandoned half-way, and two at a time.
  const [first, second] = [ancestorRows(good), ancestorRows(good)];
  expect(first.next().value).toEqual(second.next().value);
  first.return(undefined);
  expect(rowsOf(good)).toHaveLength(20);
  const files = readOnlyFiles(new Map([['snapshot', ancestorFrameOf(good)]]));
  const read = await readAncestorSnapshot(files, '/s/snapshot', new AbortController().signal);
  expect(read).toHaveLength(1);
});

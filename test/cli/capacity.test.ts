import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { capacityOf } from '../../src/cli/capacity-model.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { runCli } from '../support/cli.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const RECORDS = 200_000;
const BATCH = 10_000;

async function filledStore(dataBytes: number, ascending: boolean): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  let location = 1;
  for (let first = 1; first <= RECORDS; first += BATCH) {
    const batch = new WriteBatch();
    const ids = new BigUint64Array(randomBytes(8 * BATCH).buffer.slice(0, 8 * BATCH));
    const steps = new Uint16Array(randomBytes(2 * BATCH).buffer.slice(0, 2 * BATCH));
    const data = randomBytes(Math.max(1, dataBytes * BATCH));
    for (let i = 0; i < BATCH; i++) {
      location += 4096 + (steps[i] ?? 0);
      const bytes = data.subarray(i * dataBytes, (i + 1) * dataBytes);
      batch.put(ascending ? first + i : (ids[i] ?? 0n), location, bytes);
    }
    await store.insertBatch(batch);
  }
  await store.merge();
  await store.close();
  return directory;
}

test.each([
  [0, true],
  [0, false],
  [16, true],
  [16, false],
  [100, true],
  [100, false],
])(
  '%i bytes of data, ascending: %o: disk and memory as estimated',
  async (dataBytes, ascending) => {
    const directory = await filledStore(dataBytes, ascending);
    const { disk, memory } = capacityOf({ records: RECORDS, dataBytes, ascending });
    let diskBytes = 0;
    for (const name of await readdir(directory)) {
      diskBytes += (await stat(join(directory, name))).size;
    }
    expect(Math.abs(disk.restBytes / diskBytes - 1)).toBeLessThan(0.15);
    const store = await MetadataStore.open(directory, { readOnly: true });
    const { baseBytes, liveBytes } = store.stats().memory;
    expect(Math.abs(memory.tableBytes / (baseBytes + liveBytes) - 1)).toBeLessThan(0.15);
    await store.close();
  },
);

test('estimates grow with each parameter and are at least the size of the data', () => {
  const small = capacityOf({ records: 1_000_000, dataBytes: 16, ascending: true });
  const large = capacityOf({ records: 10_000_000, dataBytes: 16, ascending: true });
  for (const { disk, memory, open } of [small, large]) {
    expect(disk.mostBytes).toBeGreaterThan(2 * disk.restBytes);
    expect(memory.residentBytes).toBeGreaterThan(memory.tableBytes);
    expect(memory.writingBytes).toBeGreaterThan(memory.residentBytes);
    expect(open.toMs).toBeGreaterThan(open.fromMs);
  }
  expect(large.disk.restBytes).toBe(10 * small.disk.restBytes);
});

test('estimates are printed as text and as JSON', async () => {
  const argv = ['capacity', '--records', '10,000,000', '--data-bytes', '16', '--ascending'];
  const text = await runCli(argv);
  expect([text.code, text.err]).toEqual([0, '']);
  expect(text.out).toMatch(/^10,000,000 records with ascending ids and 16 bytes of data each:\n/);
  expect(text.out).toMatch(/\ndisk +\d+ MiB/);
  const json = await runCli([...argv, '--json']);
  expect(JSON.parse(json.out)).toMatchObject({
    records: 10_000_000,
    dataBytes: 16,
    ascending: true,
    ...capacityOf({ records: 10_000_000, dataBytes: 16, ascending: true }),
  });
});

test.each([
  [['--records', '1']],
  [['--data-bytes', '1']],
  [['--records', '1,00', '--data-bytes', '1']],
  [['--records', '-1', '--data-bytes', '1']],
  [['--records', '1e15', '--data-bytes', '1']],
  [['--records', '10000000000000', '--data-bytes', '1']],
  [['--records', '1', '--data-bytes', '99999999999']],
])('wrong usage: %j', async (options) => {
  expect((await runCli(['capacity', ...options])).code).toBe(2);
});

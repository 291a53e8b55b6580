import { readFileSync } from 'node:fs';
import { stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { importRecords } from '../../src/cli/import.ts';
import { Output } from '../../src/cli/output/output.ts';
import { CsvParser } from '../../src/cli/records/csv-input.ts';
import { InputError } from '../../src/cli/records/input-error.ts';
import { LineCutter } from '../../src/cli/records/input-lines.ts';
import { parseJsonLine } from '../../src/cli/records/json-input.ts';
import type { InputRecord } from '../../src/cli/records/record-input.ts';
import { RecordLoader } from '../../src/cli/records/record-loader.ts';
import {
  headLine,
  recordLines,
  type DataEncoding,
  type TextFormat,
} from '../../src/cli/records/record-text.ts';
import { run } from '../../src/cli/run.ts';
import { MetadataStore, StoreError, type WriteBatch } from '../../src/index.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import type { FileSystem, OpenFile } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { ancestorFrameOfRows } from '../support/ancestor-files.ts';
import { commandContext, runCli, TextSink, type CliResult } from '../support/cli.ts';
import { columnsOf } from '../support/columns.ts';
import { dumpOfStore } from '../support/dump.ts';
import { ANCESTOR, copyOf } from '../support/golden.ts';
import { openedFile } from '../support/read-only-files.ts';
import { closedStore } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const MAX = 2n ** 64n - 1n;
const EMPTY_FILE = openedFile(new Uint8Array(0));

async function importText(
  text: string | Uint8Array,
  options: readonly string[] = [],
  directory?: string,
): Promise<CliResult & { readonly directory: string }> {
  const target = directory ?? join(await temporaryDirectory(), 'store');
  const stdout = new TextSink();
  const stderr = new TextSink();
  const { signal } = new AbortController();
  const stdin = (): Readable => Readable.from([Buffer.from(text)]);
  const code = await run(['import', ...options, target], { stdout, stderr, stdin, signal });
  return { code, out: stdout.text, err: stderr.text, directory: target };
}

async function dumpOfDirectory(directory: string): Promise<string> {
  const store = await MetadataStore.open(directory, { readOnly: true });
  const dump = dumpOfStore(store);
  await store.close();
  return dump;
}

test('JSON lines accept strings or safe integers, data in two encodings, empty lines, no last line feed', async () => {
  const { code, out, err, directory } = await importText(
    `{"key":"1","value":"2"}\n\r\n{"value":3,"key":9007199254740991,"data":"yv7/"}\r\n` +
      `{"key":"${MAX}","value":"${MAX}","dataHex":"CAfe"}`,
  );
  expect([code, err]).toEqual([0, '']);
  expect(out).toMatch(/^Imported 3 records into .* in .*s\.\n$/);
  expect(await dumpOfDirectory(directory)).toBe(
    `1 2 \n9007199254740991 3 cafeff\n${MAX} ${MAX} cafe\n`,
  );
});

test('JSON numbers may have an exponent or a fraction of zeros', async () => {
  const { code, directory } = await importText('{"key" : 1.0, "value":\t1e3 }\n');
  expect(code).toBe(0);
  expect(await dumpOfDirectory(directory)).toBe('1 1000 \n');
});

test('CSV accepts fields by name in any order, quotes, and a byte order mark', async () => {
  const { code, directory } = await importText(
    '\uFEFFvalue,"key",dataHex\r\n7,"1",\r\n"8",2,"0aff"\n\n',
    ['--format', 'csv'],
  );
  expect(code).toBe(0);
  expect(await dumpOfDirectory(directory)).toBe('1 7 \n2 8 0aff\n');
  const plain = await importText('key,value\n5,6\n', ['--format', 'csv', '--json']);
  expect(JSON.parse(plain.out)).toMatchObject({ records: 1, dryRun: false, error: null });
});

test.each([
  ['jsonl', '{"key":"1","value":"1"}\nnot json\n', 2, 'not JSON'],
  ['jsonl', '[1]\n', 1, 'not a JSON object'],
  ['jsonl', 'null\n', 1, 'not a JSON object'],
  ['jsonl', '{"value":"1"}', 1, 'no key'],
  ['jsonl', '{"key":"1"}', 1, 'no value'],
  ['jsonl', '{"key":"1","value":"0"}', 1, 'value is 0'],
  ['jsonl', '{"key":"1","value":"00"}', 1, 'value is 0'],
  ['jsonl', `{"key":"1","value":"${'0'.repeat(20)}"}`, 1, 'value is 0'],
  ['jsonl', '{"key":"-1","value":"1"}', 1, 'key is not an integer'],
  ['jsonl', '{"key":"0x1","value":"1"}', 1, 'key is not an integer'],
  ['jsonl', `{"key":"${MAX + 1n}","value":"1"}`, 1, 'greater than'],
  ['jsonl', '{"key":9007199254740993,"value":"1"}', 1, 'would be rounded'],
  ['jsonl', '{"key":1.5,"value":"1"}', 1, 'neither a string'],
  ['jsonl', '{"key":4503599627370497.5,"value":"1"}', 1, 'more digits'],
  ['jsonl', '{"key":"1","value":0.99999999999999999999}', 1, 'more digits'],
  ['jsonl', '{"key":"1","value":99999999999999999999e-20}', 1, 'more digits'],
  ['jsonl', '{"key":"1","key":"2","value":"1"}', 1, 'a field twice'],
  ['jsonl', '{"key":{"key":1},"key":"2","value":"1"}', 1, 'a field twice'],
  ['jsonl', '{"key":"1","value":"1","\\u0076alue":"2"}', 1, 'a field twice'],
  ['jsonl', '{"key":"1","value":"1","dataHex":"\u0130\u0131"}', 1, 'not hexadecimal'],
  ['jsonl', '{"key":"1","value":"1","dataLength":5}', 1, 'other than key, value, data, dataHex'],
  ['jsonl', '{"key":"1","value":"1","data":"A","dataHex":"00"}', 1, 'both data and dataHex'],
  ['jsonl', '{"key":"1","value":"1","data":"A"}', 1, 'not base64'],
  [
    'jsonl',
    '{"key":"1","value":"1","data":"AA=="}\n{"key":"1","value":"1","data":"AB=="}',
    2,
    'not base64',
  ],
  ['jsonl', '{"key":"1","value":"1","dataHex":"0"}', 1, 'not hexadecimal'],
  ['jsonl', '{"key":"1","value":"1","dataHex":"zz"}', 1, 'not hexadecimal'],
  ['jsonl', '{"key":"1","value":"1","data":5}', 1, 'not a string'],
  ['csv', '', 1, 'must name the fields'],
  ['csv', '1,2\n', 1, 'must name the fields'],
  ['csv', 'key,value,key\n', 1, 'must name the fields'],
  ['csv', 'key,value,data,dataHex\n', 1, 'must name the fields'],
  ['csv', 'key,data\n', 1, 'must name the fields'],
  ['csv', 'key,value\n1\n', 2, 'it has 1 field, not 2'],
  ['csv', 'key,value\n1,2,3\n', 2, 'it has 3 fields, not 2'],
  ['csv', 'key,value\n1,"2\n', 2, 'does not end'],
  ['csv', 'key,value\n1,"2"3\n', 2, 'follows a quoted field'],
  ['csv', 'key,value\n1,2"\n', 2, 'inside a field'],
  ['csv', 'key,value\n1, 2\n', 2, 'value is not an integer'],
  ['csv', 'key,value\n1,"2"","\n', 2, 'value is not an integer'],
])('%s %j: line %i, %s; no store is made', async (format, text, line, reason) => {
  const { code, out, err, directory } = await importText(text, ['--format', format]);
  expect([code, out]).toEqual([2, '']);
  expect(err).toMatch(
    new RegExp(`^lodestore: line ${line}: .*${reason}.*\\. Nothing has been imported\\n$`),
  );
  await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('invalid UTF-8 and lines longer than any record are refused', async () => {
  const latin = await importText(Uint8Array.of(0x7b, 0xe4, 0x0a));
  expect([latin.code, latin.err]).toEqual([2, expect.stringContaining('line 1: it is not UTF-8')]);
  const lines = new LineCutter();
  const piece = new Uint8Array(8 * 1024 * 1024).fill(0x41);
  expect(() => {
    for (let i = 0; i < 10; i++) expect([...lines.push(piece)]).toEqual([]);
  }).toThrow(/longer than/);
});

function linesOf(from: number, to: number): string {
  let text = '';
  for (let key = from; key < to; key++) text += `{"key":"${key}","value":"7"}\n`;
  return text;
}

test('a mistake keeps whole batches before it, reports them, and writes nothing of its own batch', async () => {
  const text = `${linesOf(0, 2_500)}{"key":"2500"}\n${linesOf(2_501, 5_000)}`;
  const { code, out, err, directory } = await importText(text, ['--json']);
  expect(code).toBe(2);
  expect(JSON.parse(out)).toMatchObject({
    records: 2_000,
    error: { line: 2_501, message: 'it has no value' },
  });
  expect(err).toBe(
    'lodestore: line 2501: it has no value. The first 2,000 records have been imported and are ' +
      'durable; importing all of it again is safe\n',
  );
  expect((await dumpOfDirectory(directory)).split('\n')).toHaveLength(2_001);
  const again = await importText(linesOf(0, 5_000), [], directory);
  expect(again.code).toBe(0);
  expect((await dumpOfDirectory(directory)).split('\n')).toHaveLength(5_001);
});

test('an input that cannot be read further tells what is durable', async () => {
  const path = join(await temporaryDirectory(), 'in.jsonl');
  await writeFile(path, linesOf(0, 20_000));
  const failing = Object.create(nodeFileSystem) as { open: FileSystem['open'] } & FileSystem;
  failing.open = async (opened, mode) => {
    const file = await nodeFileSystem.open(opened, mode);
    const read: OpenFile['read'] = async (target, position) => {
      if (position === 0) return file.read(target, position);
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    };
    return { ...EMPTY_FILE, read, close: () => file.close() };
  };
  const stderr = new TextSink();
  const context = { ...commandContext(), fs: failing, err: new Output(stderr) };
  const into = join(await temporaryDirectory(), 'store');
  await expect(importRecords(context, into, { format: 'jsonl', in: path })).rejects.toMatchObject({
    code: 'EIO',
  });
  await context.err.flush();
  const told = /the first ([\d,]+) records have been imported/.exec(stderr.text)?.[1];
  expect(told).toMatch(/^\d+,000$/);
  const store = await MetadataStore.open(into, { readOnly: true });
  expect(store.size).toBe(Number(told?.replace(',', '')));
  await store.close();
});

test('--dry-run finds mistakes and creates nothing', async () => {
  const sound = await importText(linesOf(0, 1_500), ['--dry-run']);
  expect([sound.code, sound.out]).toEqual([
    0,
    'The input holds 1,500 records and no errors. Nothing has been imported.\n',
  ]);
  const wrong = await importText(`${linesOf(0, 1_500)}x\n`, ['--dry-run', '--json']);
  expect(wrong.code).toBe(2);
  expect(JSON.parse(wrong.out)).toMatchObject({ records: 0, dryRun: true, error: { line: 1501 } });
  for (const { directory } of [sound, wrong]) {
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  }
});

test('a directory as the input is wrong usage, and creates no store', async () => {
  const parent = await temporaryDirectory();
  const into = join(parent, 'store');
  const { code, err } = await runCli(['import', '--in', parent, into]);
  expect([code, err]).toEqual([
    2,
    expect.stringContaining('is a directory: only --format ancestor reads one'),
  ]);
  await expect(stat(into)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('import into a store with records, from a file, and into an open store', async () => {
  const directory = await closedStore();
  const path = join(await temporaryDirectory(), 'in.jsonl');
  await writeFile(path, '{"key":"0","value":"99"}\n{"key":"123456","value":"1"}\n');
  const { code } = await runCli(['import', '--in', path, directory]);
  expect(code).toBe(0);
  const store = await MetadataStore.open(directory);
  expect([store.size, store.get(0)?.value, store.get(1)?.value]).toEqual([3_001, 99n, 1n]);
  expect((await runCli(['import', '--in', path, directory])).code).toBe(3);
  await store.close();
  expect((await runCli(['import', '--in', `${path}x`, directory])).code).toBe(4);
});

test("import converts the ancestor's directory into a store", async () => {
  const source = await copyOf(ANCESTOR, 'd-snapshot-and-several-logs');
  const directory = join(await temporaryDirectory(), 'store');
  const { code, out } = await runCli(['import', '--format', 'ancestor', '--in', source, directory]);
  expect([code, out]).toEqual([0, expect.stringMatching(/^Imported 1,282 records/)]);
  expect(await dumpOfDirectory(directory)).toBe(await dumpOfDirectory(source));
  for (const argv of [
    ['import', '--format', 'ancestor', directory],
    ['import', '--format', 'ancestor', '--in', directory, directory],
  ]) {
    expect((await runCli(argv)).code).toBe(2);
  }
});

test('a symbolic link to the store is not imported into it', async () => {
  const directory = await copyOf(ANCESTOR, 'b-one-log');
  const link = join(await temporaryDirectory(), 'link');
  await symlink(directory, link);
  const { code, err } = await runCli(['import', '--format', 'ancestor', '--in', link, directory]);
  expect([code, err]).toEqual([2, expect.stringContaining('the directory of the store itself')]);
});

/** Whether the first batch of a new store has been written. */
function hasBegun(directory: string): boolean {
  try {
    return readFileSync(join(directory, logName(1)))
      .subarray(0, 8)
      .some(Boolean);
  } catch {
    return false;
  }
}

test("an import of the ancestor's records can be interrupted between two batches", async () => {
  const source = await temporaryDirectory();
  const rows = Array.from({ length: 50_000 }, (_, i) => ({ key: BigInt(i), value: 1n }));
  await writeFile(join(source, snapshotName(0)), ancestorFrameOfRows(rows));
  await writeFile(join(source, logName(1)), '');
  const directory = join(await temporaryDirectory(), 'store');
  const controller = new AbortController();
  const watch = (): void => {
    if (hasBegun(directory)) controller.abort();
    else timer = setImmediate(watch);
  };
  let timer = setImmediate(watch);
  onTestFinished(() => clearImmediate(timer));
  const { code, err } = await runCli(
    ['import', '--format', 'ancestor', '--in', source, directory],
    controller.signal,
  );
  expect(code).toBe(130);
  const told = /the first ([\d,]+) records have been imported/.exec(err)?.[1];
  const imported = Number(told?.replace(',', ''));
  expect(imported).toBeLessThan(50_000);
  const store = await MetadataStore.open(directory, { readOnly: true });
  expect(store.size).toBe(imported);
  await store.close();
});

/** Resolves when a store in `directory` holds `count` records. */
async function untilDurable(directory: string, count: number): Promise<void> {
  await expect
    .poll(async () => {
      const store = await MetadataStore.open(directory, { readOnly: true }).catch(() => undefined);
      const size = store?.size;
      await store?.close();
      return size;
    })
    .toBe(count);
}

test('an import interrupted while it waits for input counts what is durable', async () => {
  const directory = join(await temporaryDirectory(), 'store');
  const controller = new AbortController();
  const stderr = new TextSink();
  let wants = 0;
  const stdin = (): Readable =>
    new Readable({
      read() {
        wants++;
        if (wants === 1) this.push(linesOf(0, 3_500));
        else if (wants === 2) this.push(linesOf(3_500, 4_700));
        // No more input: the rest of the last piece is less than a batch.
        else if (wants === 3) void untilDurable(directory, 4_000).then(() => controller.abort());
      },
    });
  const io = { stdout: new TextSink(), stderr, stdin, signal: controller.signal };
  expect(await run(['import', directory], io)).toBe(130);
  const told = /the first ([\d,]+) records have been imported/.exec(stderr.text)?.[1];
  expect(told).toBe('4,000');
  const store = await MetadataStore.open(directory);
  expect(store.size).toBe(Number(told?.replace(',', '')));
  await store.close();
});

test('batches are inserted one after another; the first failure ends the import and gives the count before it', async () => {
  const sizes: number[] = [];
  const failure = new StoreError('LODESTORE_FULL', 'full');
  // Some commits resolve at once, some later.
  const commit = (batch: WriteBatch): void | Promise<void> => {
    sizes.push(batch.size);
    if (sizes.length === 4) throw failure;
    return sizes.length % 2 === 0 ? Promise.resolve() : undefined;
  };
  const loader = new RecordLoader(() => Promise.resolve({ commit }));
  const data = new Uint8Array(0);
  const load = async (): Promise<void> => {
    for (let key = 0; key < 20_000; key++) await loader.add({ key, value: 1, data });
  };
  await expect(load()).rejects.toBe(failure);
  expect(sizes).toEqual([1_000, 1_000, 1_000, 1_000]);
  expect(loader.acknowledged).toBe(3_000);
});

const u64 = fc.bigInt({ min: 0n, max: MAX });
const records = fc.uniqueArray(
  fc.record({
    key: u64,
    value: u64.filter((value) => value > 0n),
    data: fc.uint8Array({ maxLength: 40 }),
  }),
  { selector: (record) => record.key, minLength: 1, maxLength: 30 },
);

test('import reads what export writes, however the stream is split', () => {
  fc.assert(
    fc.property(
      records,
      fc.constantFrom<TextFormat>('jsonl', 'csv'),
      fc.constantFrom<DataEncoding>('base64', 'hex'),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (given, format, encoding, cuts) => {
        const sorted = [...given].sort((a, b) => (a.key < b.key ? -1 : 1));
        const bytes = Buffer.from(
          headLine(format, encoding) + recordLines(columnsOf(sorted), format, encoding),
        );
        const csv = new CsvParser();
        const lines = new LineCutter();
        // The reader reuses its buffer for the next piece.
        const scratch = Buffer.alloc(50);
        const found: InputRecord[] = [];
        const take = (all: ReturnType<LineCutter['push']>): void => {
          for (const line of all) {
            const record = format === 'csv' ? csv.parse(line) : parseJsonLine(line);
            if (record !== undefined) found.push(record);
          }
        };
        for (let offset = 0, i = 0; offset < bytes.length; i++) {
          const length = cuts[i % cuts.length] ?? 1;
          take(lines.push(scratch.subarray(0, bytes.copy(scratch, 0, offset, offset + length))));
          offset += length;
        }
        take(lines.finish());
        expect(
          found.map(({ key, value, data }) => ({
            key: BigInt(key),
            value: BigInt(value),
            data: new Uint8Array(data),
          })),
        ).toEqual(sorted.map((record) => ({ ...record, data: new Uint8Array(record.data) })));
      },
    ),
  );
});

test('a random line makes a parser fail only with its own error', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const parsers = [
        () => parseJsonLine({ text, number: 1 }),
        () => new CsvParser().parse({ text, number: 1 }),
      ];
      const errors = parsers.map((parse) => {
        try {
          return parse();
        } catch (error) {
          return error;
        }
      });
      expect(
        errors.filter((error) => error instanceof Error && !(error instanceof InputError)),
      ).toEqual([]);
    }),
  );
});

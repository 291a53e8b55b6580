import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const MAIN = programPath('main');

/** Enough for the program and its compiled sources, and little else. */
const HEAP_MIB = 56;
const DATA_BYTES = 300;
const LINES = 400_000;

function start(argv: readonly string[]): ChildProcessByStdio<Writable, Readable, Readable> {
  const env = { ...process.env };
  delete env['NODE_OPTIONS'];
  const flags = [`--max-old-space-size=${HEAP_MIB}`];
  const child = spawn(process.execPath, [...flags, MAIN, ...argv], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function collect(stream: Readable): { text: string } {
  const collected = { text: '' };
  stream.on('data', (piece) => (collected.text += String(piece)));
  return collected;
}

test('import handles more data than fit into the heap', async () => {
  const child = start(['import', '--dry-run', '/nowhere']);
  const [out, err] = [collect(child.stdout), collect(child.stderr)];
  const data = Buffer.alloc(DATA_BYTES, 7).toString('base64');
  const closed = once(child, 'close') as Promise<[number]>;
  for (let key = 0; key < LINES;) {
    let piece = '';
    for (const end = key + 1_000; key < end; key++) {
      piece += `{"key":"${key}","value":"1","data":"${data}"}\n`;
    }
    if (!child.stdin.write(piece)) await Promise.race([once(child.stdin, 'drain'), closed]);
  }
  child.stdin.end();
  const [code] = await closed;
  expect([code, err.text]).toEqual([0, '']);
  expect(out.text).toContain('400,000 records');
  expect(LINES * data.length).toBeGreaterThan(2 * HEAP_MIB * 1024 * 1024);
});

test('export handles more data than fit into the heap, with a slow reader', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  const data = new Uint8Array(DATA_BYTES);
  for (let first = 0; first < LINES; first += 20_000) {
    const batch = new WriteBatch();
    for (let key = first; key < first + 20_000; key++) batch.put(key, 1, data);
    await store.insertBatch(batch);
  }
  await store.merge();
  await store.close();
  const child = start(['export', directory]);
  const err = collect(child.stderr);
  const closed = once(child, 'close') as Promise<[number]>;
  let lines = 0;
  for await (const piece of child.stdout) {
    for (const byte of piece as Buffer) if (byte === 0x0a) lines++;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  expect([(await closed)[0], err.text, lines]).toEqual([0, '', LINES]);
});

test('SIGTERM ends an import as Ctrl-C does: it closes the store and reports what is durable', async () => {
  const directory = await temporaryDirectory();
  const child = start(['import', directory]);
  const err = collect(child.stderr);
  const closed = once(child, 'close') as Promise<[number | null, string | null]>;
  // The process exits before it has read everything.
  child.stdin.on('error', () => undefined);
  for (let key = 0; key < 30_000; key++) {
    child.stdin.write(`{"key":"${key}","value":"1"}\n`);
  }
  // The log exists once the first batches are being written.
  await expect
    .poll(
      async () => {
        const reading = await MetadataStore.open(directory, { readOnly: true }).catch(
          () => undefined,
        );
        const records = reading?.size ?? 0;
        await reading?.close();
        return records;
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(0);
  child.kill('SIGTERM');
  const [code, signal] = await closed;
  expect([code, signal]).toEqual([130, null]);
  const told = /^lodestore: interrupted; the first ([\d,]+) records have been imported/.exec(
    err.text,
  );
  const store = await MetadataStore.open(directory);
  expect(store.size).toBe(Number(told?.[1]?.replace(',', '')));
  await store.close();
});

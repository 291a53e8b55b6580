import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  countOf,
  formatBytes,
  formatCount,
  formatSeconds,
  groupDigits,
} from '../../src/cli/output/number-text.ts';
import { Output, OutputClosedError } from '../../src/cli/output/output.ts';
import { ProgressBar } from '../../src/cli/output/progress-bar.ts';
import { renderTable } from '../../src/cli/output/text-table.ts';
import { run } from '../../src/cli/run.ts';
import { runCli, TextSink } from '../support/cli.ts';
import { closedStore, flipByte, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const MIB = 1024 * 1024;

test('numbers are formatted for people', () => {
  expect([0, 999, 1000, 1_234_567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567']);
  expect(formatCount(2n ** 64n - 1n)).toBe('18,446,744,073,709,551,615');
  expect([0, 1, 1023, 1024, 15 * MIB].map(formatBytes)).toEqual([
    '0 bytes',
    '1 byte',
    '1,023 bytes',
    '1.0 KiB',
    '15 MiB',
  ]);
  expect([0.2, 59, 60, 3599, 7500].map(formatSeconds)).toEqual([
    '1 s',
    '59 s',
    '1 min 0 s',
    '59 min 59 s',
    '2 h 5 min',
  ]);
  expect([countOf(1, 'batch', 'batches'), countOf(1204n, 'batch', 'batches')]).toEqual([
    '1 batch',
    '1,204 batches',
  ]);
});

test('the digits of a text are grouped, but not those of names and paths', () => {
  const reason =
    'the log follows log 4 of 1000 bytes up to sequence 18446744073709551615, but log_0000000000000004 in /srv/1234/x';
  expect(groupDigits(reason)).toBe(
    'the log follows log 4 of 1,000 bytes up to sequence 18,446,744,073,709,551,615, but log_0000000000000004 in /srv/1234/x',
  );
  expect(groupDigits('2 batches, 1001 to 1002: 1,000 and 12.5678, 0x12345 1234ab 12345.')).toBe(
    '2 batches, 1,001 to 1,002: 1,000 and 12.5678, 0x12345 1234ab 12,345.',
  );
});

test('a table is as wide as its widest cells', () => {
  const columns = [
    { title: 'name', align: 'left' },
    { title: 'n', align: 'right' },
  ] as const;
  expect(
    renderTable(columns, [
      ['long name', '1'],
      ['x', '1,000'],
      ['y', ''],
    ]),
  ).toEqual(['name           n', 'long name      1', 'x          1,000', 'y']);
});

test('a table may have hundreds of thousands of rows', () => {
  const rows = Array.from({ length: 200_000 }, (_, i) => [String(i)]);
  const lines = renderTable([{ title: 'n', align: 'right' }], rows);
  expect([lines.length, lines[1], lines.at(-1)]).toEqual([200_001, '     0', '199999']);
});

test('a progress bar with rate and time left appears on a terminal after a while', () => {
  const terminal = new TextSink(true);
  let nowMs = 0;
  const bar = new ProgressBar(terminal, () => nowMs);
  const at = (ms: number, doneBytes: number): void => {
    nowMs = ms;
    bar.report({ phase: 'logs', doneBytes, totalBytes: 100 * MIB });
  };
  at(0, 0);
  at(400, 10 * MIB);
  expect(terminal.text).toBe('');
  at(1000, 25 * MIB);
  expect(terminal.text).toContain('[######..................]  25% of 100 MiB  25 MiB/s  3 s left');
  const drawn = terminal.text;
  at(1050, 26 * MIB);
  expect(terminal.text).toBe(drawn);
  bar.clear();
  expect(terminal.text.slice(drawn.length)).toBe('\r\u001B[K');
  bar.clear();
  expect(terminal.text).toHaveLength(drawn.length + 4);
});

test('any rate and any number of bytes is shown', () => {
  const bytes = fc.oneof(fc.nat(2000), fc.maxSafeNat());
  const totals = fc.oneof(fc.constant(undefined), bytes);
  fc.assert(
    fc.property(bytes, totals, fc.integer({ min: 501, max: 1e9 }), (doneBytes, totalBytes, ms) => {
      const terminal = new TextSink(true);
      let nowMs = 0;
      const bar = new ProgressBar(terminal, () => nowMs);
      bar.report({ phase: 'import', doneBytes: 0, totalBytes });
      nowMs = ms + 0.5;
      bar.report({ phase: 'import', doneBytes, totalBytes });
      expect(terminal.text).toMatch(/import +(\[[#.]{24}\]|\d)/);
      expect(terminal.text).not.toMatch(/-\d|NaN|Infinity|\d\.\d{2}/);
    }),
  );
});

test('a rate below a kilobyte per second is rounded', () => {
  const terminal = new TextSink(true);
  let nowMs = 0;
  const bar = new ProgressBar(terminal, () => nowMs);
  bar.report({ phase: 'import', doneBytes: 0, totalBytes: undefined });
  nowMs = 2_300;
  bar.report({ phase: 'import', doneBytes: 30, totalBytes: undefined });
  expect(terminal.text).toMatch(/import +30 bytes {2}13 bytes\/s$/);
});

test('a terminal of unknown width is supported', () => {
  const terminal = Object.defineProperty(new TextSink(true), 'columns', { value: 0 });
  let nowMs = 0;
  const bar = new ProgressBar(terminal, () => nowMs);
  nowMs = 1000;
  bar.report({ phase: 'import', doneBytes: MIB, totalBytes: undefined });
  expect(terminal.text).toMatch(/import +1\.0 MiB {2}[\d.]+ .*\/s$/);
});

test('no progress bar is printed into a pipe', () => {
  const pipe = new TextSink(false);
  let nowMs = 0;
  const bar = new ProgressBar(pipe, () => nowMs);
  nowMs = 10_000;
  bar.report({ phase: 'snapshot', doneBytes: 1, totalBytes: 2 });
  bar.clear();
  expect(pipe.text).toBe('');
});

function brokenSink(code: string): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error(code), { code })),
  });
}

test('a reader that closed the pipe is distinguished from a full disk', async () => {
  const closed = new Output(brokenSink('EPIPE'));
  closed.line('text');
  await expect(closed.flush()).rejects.toBeInstanceOf(OutputClosedError);
  const full = new Output(brokenSink('ENOSPC'));
  full.line('text');
  await expect(full.flush()).rejects.toThrow('ENOSPC');
});

test('failing output gives exit code 0 for EPIPE and 4 for a full disk', async () => {
  const directory = await closedStore();
  const { signal } = new AbortController();
  for (const [code, expected] of [
    ['EPIPE', 0],
    ['ENOSPC', 4],
  ] as const) {
    const stderr = new TextSink();
    const io = { stdout: brokenSink(code), stderr, signal };
    expect(await run(['dump', directory], io)).toBe(expected);
    expect(stderr.text === '').toBe(expected === 0);
  }
});

test('a reader that ends early does not hide damage or a mistake', async () => {
  const directory = await closedStore();
  const [log] = await namesIn(directory, 'log_');
  await flipByte(directory, log!, 300);
  const files = await temporaryDirectory();
  const input = join(files, 'in.jsonl');
  await writeFile(input, '{');
  const { signal } = new AbortController();
  for (const [argv, expected] of [
    [['verify', directory], 1],
    [['explain', directory], 1],
    [['inspect', directory], 1],
    [['inspect', '--frames', '--json', directory], 1],
    [['dump', '--damaged', directory], 1],
    [['salvage', directory, join(files, 'target')], 1],
    [['import', '--json', '--in', input, join(files, 'store')], 2],
  ] as const) {
    const io = { stdout: brokenSink('EPIPE'), stderr: new TextSink(), signal };
    expect([argv, await run(argv, io)]).toEqual([argv, expected]);
    const full = { stdout: brokenSink('ENOSPC'), stderr: new TextSink(), signal };
    if (argv[0] === 'salvage') continue;
    expect([argv, await run(argv, full)]).toEqual([argv, 4]);
    expect(full.stderr.text.match(/^lodestore: ENOSPC$/gm)).toHaveLength(1);
  }
});

test('an interrupted command prints a message', async () => {
  const directory = await closedStore();
  for (const command of ['inspect', 'verify', 'dump']) {
    const { code, out, err } = await runCli([command, directory], AbortSignal.abort());
    expect([code, out]).toEqual([130, '']);
    expect(err).toBe('lodestore: interrupted\n');
  }
});

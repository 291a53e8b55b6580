import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { run } from '../../src/cli/run.ts';
import { fingerprint, runCli, TextSink } from '../support/cli.ts';
import { recordsIn } from '../support/backup.ts';
import { casesOf } from '../support/effort.ts';
import { ANCESTOR, copyOf, goldenNames } from '../support/golden.ts';
import { nth } from '../support/nth.ts';
import {
  closedStore,
  flipByte,
  insertBatches,
  namesIn,
  SMALL_LOGS,
} from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test.each(['backup', 'restore'])('%s --help has an example and the exit codes', async (command) => {
  const { code, out, err } = await runCli([command, '--help']);
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain(`Example:\n  lodestore ${command} `);
  expect(out).toMatch(
    /Exit codes:\n +0 .*\n +1 +damage found\n +2 .*usage.*\n +3 .*locked.*\n +4 /,
  );
});

test('backup and restore leave a closed store unchanged, except for links', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  const [target, restored] = [join(base, 'backup'), join(base, 'restored')];
  const before = await readFile(join(directory, nth(await namesIn(directory, 'log_'), -1)));
  const made = await runCli(['backup', directory, target, '--verify']);
  expect([made.code, made.err]).toEqual([0, '']);
  expect(made.out).toMatch(
    /^Backed up \d+ files of .*, with all batches up to 300, to .*backup in .*\.\n\d+ linked, 0 reused, 1 copied; .* were copied\.\nThe copy opens: 3,000 records, content hash [0-9a-f]{32}\.\n$/,
  );
  expect(await readFile(join(directory, nth(await namesIn(directory, 'log_'), -1)))).toEqual(
    before,
  );
  const back = await runCli(['restore', target, restored]);
  expect([back.code, back.err]).toEqual([0, '']);
  expect(back.out).toMatch(
    /^Restored \d+ files of .*, with all batches up to 300 \(3,000 records\), to .*restored in .*Every file matches its checksum\.\n$/,
  );
  const [one, two] = await Promise.all([runCli(['dump', directory]), runCli(['dump', restored])]);
  expect(two.out).toBe(one.out);
  expect((await runCli(['verify', restored])).code).toBe(0);
  // The backup itself can be verified.
  expect((await runCli(['verify', target])).code).toBe(0);
  expect((await runCli(['inspect', target])).out).toContain('BACKUP.json');
});

test('--json prints all digits', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  const [first, second] = [join(base, '1'), join(base, '2')];
  const one = await runCli(['backup', directory, first, '--json']);
  const report = JSON.parse(one.out) as Record<string, unknown>;
  expect(report).toMatchObject({ directory, target: first, lastSequence: '300', records: null });
  expect(report['files']).toEqual(
    expect.arrayContaining([expect.objectContaining({ origin: 'linked' })]) as unknown,
  );
  const two = await runCli(['backup', directory, second, '--incremental', first, '--json']);
  expect(two.code).toBe(0);
  const manifest = JSON.parse(readFileSync(join(second, 'BACKUP.json'), 'utf8')) as object;
  expect(manifest).toMatchObject({ previous: first, lastSequence: '300' });
  const back = await runCli(['restore', second, join(base, '3'), '--json']);
  expect(JSON.parse(back.out)).toMatchObject({
    backup: second,
    lastSequence: '300',
    records: null,
  });
});

/** Batches at most beside one backup: what a fast disk writes more of has no other effect. */
const BESIDE = 300;

test('each backup beside a busy store has whole batches, with all acknowledged before', async () => {
  const base = await temporaryDirectory();
  const directory = join(base, 'store');
  const store = await MetadataStore.open(directory, { rotateBytes: 64 * 1024 });
  await insertBatches(store, 0, 50);
  let acknowledged = 50;
  const write = async (signal: AbortSignal): Promise<void> => {
    for (let more = 0; more < BESIDE && !signal.aborted; more++) {
      await insertBatches(store, acknowledged, acknowledged + 1);
      acknowledged++;
    }
  };
  let stop = new AbortController();
  let writing = Promise.resolve();
  try {
    for (let round = 0; round < 6; round++) {
      const promised = acknowledged;
      stop = new AbortController();
      writing = write(stop.signal);
      const target = join(base, `backup-${round}`);
      const incremental = round === 0 ? [] : ['--incremental', join(base, `backup-${round - 1}`)];
      const merging = round % 2 === 0 ? store.merge() : undefined;
      const { code, err } = await runCli(['backup', directory, target, '--verify', ...incremental]);
      stop.abort();
      expect([code, err]).toEqual([0, '']);
      const keys = [...(await recordsIn(target)).keys()];
      expect(keys.length % 10).toBe(0);
      expect(keys.length).toBeGreaterThanOrEqual(10 * promised);
      expect(keys.every((key, i) => key === BigInt(i))).toBe(true);
      await Promise.all([merging, writing]);
    }
  } finally {
    stop.abort();
    await writing;
    await store.close();
  }
});

test('a killed store is backed up without its torn tail, and is not changed', async () => {
  const directory = await closedStore();
  const last = nth(await namesIn(directory, 'log_'), -1);
  const bytes = readFileSync(join(directory, last));
  writeFileSync(join(directory, last), bytes.subarray(0, bytes.length - 60));
  const target = join(await temporaryDirectory(), 'backup');
  const before = readFileSync(join(directory, last));
  expect((await runCli(['backup', directory, target, '--verify'])).code).toBe(0);
  expect(readFileSync(join(directory, last))).toEqual(before);
  expect(await recordsIn(target)).toEqual(await recordsIn(directory));
});

test.each(goldenNames(ANCESTOR))('a directory of the ancestor is backed up: %s', async (name) => {
  const directory = await copyOf(ANCESTOR, name);
  const base = await temporaryDirectory();
  const made = await runCli(['backup', directory, join(base, 'backup'), '--verify']);
  expect([made.code, made.err]).toEqual([0, '']);
  expect((await runCli(['restore', join(base, 'backup'), join(base, 'restored')])).code).toBe(0);
  const [one, two] = await Promise.all([
    runCli(['dump', '--data', directory]),
    runCli(['dump', '--data', join(base, 'restored')]),
  ]);
  expect(one.code).toBe(0);
  expect(two.out).toBe(one.out);
});

test('damage gives exit code 1, no backup and no restored store', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  const [target, restored] = [join(base, 'backup'), join(base, 'restored')];
  await runCli(['backup', directory, target]);
  for (const name of readdirSync(target).filter((one) => /^(log|snapshot|BACKUP)/.test(one))) {
    await flipByte(target, name, 150);
    const result = await runCli(['restore', target, restored]);
    expect([name, result.code, result.out]).toEqual([name, 1, '']);
    expect(result.err).toContain(join(target, name));
    await flipByte(target, name, 150);
  }
  expect((await runCli(['restore', target, restored])).code).toBe(0);
  await flipByte(directory, nth(await namesIn(directory, 'log_'), 1), 5_000);
  const result = await runCli(['backup', directory, join(base, 'another')]);
  expect([result.code, result.out]).toEqual([1, '']);
  expect(result.err).toContain('is damaged at offset');
  expect(readdirSync(base).sort()).toEqual(['backup', 'restored']);
});

test('an existing target is refused as wrong usage and never overwritten', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  const target = join(base, 'backup');
  await runCli(['backup', directory, target]);
  const before = await fingerprint(base);
  for (const argv of [
    ['backup', directory, target],
    ['backup', directory, directory],
    ['backup', directory, join(directory, 'inside')],
    ['restore', target, directory],
    ['restore', target, target],
    ['backup', directory],
    ['restore', target],
  ]) {
    const { code, out, err } = await runCli(argv);
    expect([argv, code, out]).toEqual([argv, 2, '']);
    expect(err).toContain('lodestore: ');
  }
  expect(await fingerprint(base)).toEqual(before);
});

test('a missing store, a missing backup and an unfinished one give exit code 4 and distinct messages', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  const target = join(base, 'target');
  mkdirSync(join(base, 'empty'));
  mkdirSync(join(base, 'unfinished'));
  writeFileSync(join(base, 'unfinished', 'lodestore.incomplete'), '');
  for (const [argv, words] of [
    [['backup', join(base, 'absent'), target], 'there is no store at'],
    [['backup', join(base, 'empty'), target], 'there is no store in'],
    [['backup', join(base, 'unfinished'), target], 'is incomplete'],
    [['backup', directory, target, '--incremental', join(base, 'empty')], 'is not a backup'],
    [['restore', join(base, 'empty'), target], 'is not a backup'],
    [['restore', join(base, 'absent'), target], 'is not a backup'],
    [['restore', directory, target], 'is not a backup'],
    [['restore', join(base, 'unfinished'), target], 'is incomplete'],
    [['inspect', join(base, 'unfinished')], 'is incomplete'],
    [['verify', join(base, 'unfinished')], 'is incomplete'],
    [['dump', join(base, 'unfinished')], 'is incomplete'],
  ] as const) {
    const { code, out, err } = await runCli(argv);
    expect([argv, code, out]).toEqual([argv, 4, '']);
    expect(err).toContain(words);
  }
  expect(readdirSync(base).sort()).toEqual(['empty', 'unfinished']);
});

test('Ctrl-C leaves nothing incomplete', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  await runCli(['backup', directory, join(base, 'backup')]);
  for (const argv of [
    ['backup', directory, join(base, 'target'), '--verify'],
    ['restore', join(base, 'backup'), join(base, 'target')],
  ]) {
    let code = 0;
    // Each round aborts at another check of the signal, until one is after the last.
    for (const look of [1, 2, 3, ...casesOf(500, 4).filter((one) => one > 3)]) {
      const controller = new AbortController();
      const stderr = new TextSink();
      const { signal } = controller;
      let looks = 0;
      const watched = new Proxy(signal, {
        get: (target, name) => {
          if ((name === 'throwIfAborted' || name === 'aborted') && ++looks === look) {
            controller.abort();
          }
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      const io = { stdout: new TextSink(), stderr, stdin: () => process.stdin, signal: watched };
      code = await run(argv, io);
      if (code === 0) break;
      expect([look, code, stderr.text]).toEqual([
        look,
        130,
        'lodestore: interrupted; nothing has been changed\n',
      ]);
      expect(readdirSync(base)).toEqual(['backup']);
    }
    expect(code).toBe(0);
    expect(readdirSync(base).sort()).toEqual(['backup', 'target']);
    await rm(join(base, 'target'), { recursive: true });
  }
});

test('progress has two phases on a terminal, and is not printed into a pipe', async () => {
  const directory = await closedStore();
  const base = await temporaryDirectory();
  const { err } = await runCli(['backup', directory, join(base, 'piped')]);
  expect(err).toBe('');
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  const phases: string[] = [];
  await store.backup(join(base, 'watched'), {
    verify: true,
    onProgress: ({ phase }) => phases.push(phase),
  });
  await store.close();
  expect([...new Set(phases)]).toEqual(['copy', 'verify']);
});

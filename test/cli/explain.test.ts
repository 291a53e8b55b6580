import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explain } from '../../src/cli/explain.ts';
import { shellWord } from '../../src/base/shell-word.ts';
import { besideOf } from '../../src/cli/text/explain-result.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { MetadataStore } from '../../src/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { fingerprint, runCli, runOn } from '../support/cli.ts';
import { dumpOfSubject } from '../support/damage-subject.ts';
import { DAMAGE_ROWS, subject } from '../support/damage-table.ts';
import { ANCESTOR, copyOf } from '../support/golden.ts';
import { machineWith, storeFiles } from '../support/machine.ts';
import { nth } from '../support/nth.ts';
import { closedStore, flipByte, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

interface ExplanationJson {
  readonly state: string;
  readonly summary: string;
  readonly because: readonly string[];
  readonly choices: readonly {
    readonly command: string;
    readonly effect: string;
    readonly loses: readonly string[];
  }[];
  readonly next: { readonly command: string; readonly why: string };
}

async function explained(directory: string): Promise<ExplanationJson & { readonly code: number }> {
  const { out, code, err } = await runCli(['explain', '--json', directory]);
  expect(err).toBe('');
  return { ...(JSON.parse(out) as ExplanationJson), code };
}

async function explainedOn(
  fs: CrashFs,
  directory = '/s',
): Promise<ExplanationJson & { readonly code: number }> {
  const { out, code, err } = await runOn(fs, (context) =>
    explain(context, directory, { json: true }),
  );
  expect(err).toBe('');
  return { ...(JSON.parse(out) as ExplanationJson), code };
}

describe.each(DAMAGE_ROWS.map((row) => [row.what, row] as const))('%s', (_what, row) => {
  test('names the cause, what salvage keeps and loses, and a next command that does no harm', async () => {
    const files = await row.damage(subject);
    const fs = machineWith(files);
    const found = await explainedOn(fs);
    expect([found.code, found.state]).toEqual([1, 'damaged']);
    expect(found.summary).toMatch(/^It does not open: /);
    expect(found.because.join('\n')).toContain(row.refused[0]);
    expect(found.next.command).toBe('lodestore salvage /s /s-salvaged');
    const kept = dumpOfSubject(
      [0, 1, 2].filter((index) => row.goneChunks?.includes(index) !== true),
      subject.groups.filter((_group, index) => row.goneGroups?.includes(index) !== true),
    );
    const records = kept.split('\n').length - 1;
    const isMoved = row.moved !== undefined;
    const [salvage, ...others] = found.choices;
    const [backup, dump] = isMoved ? others.slice(1) : others;
    if (isMoved) {
      expect(others[0]?.command).toContain("recovery: 'salvage'");
      for (const name of Object.keys(row.moved)) {
        expect(found.because.join('\n')).toContain(`${name}: `);
      }
    }
    expect(salvage?.effect).toContain(`: ${records} record`);
    const lost = row
      .losses(subject)
      .filter((loss) => loss.firstSequence !== undefined || loss.firstKey !== undefined);
    expect(salvage?.loses).toHaveLength(Math.max(1, lost.length));
    for (const [i, { name }] of lost.entries()) expect(salvage?.loses[i]).toContain(name);
    if (lost.length === 0) expect(salvage?.loses[0]).toMatch(/^no record/);
    expect(backup?.command).toBe('lodestore restore BACKUP /s-restored');
    expect(backup?.loses).toEqual(['everything written since']);
    expect(dump?.command).toBe('lodestore dump --damaged /s');
    expect(storeFiles(fs)).toEqual(files);
  });
});

test('a store that opens', async () => {
  const directory = await closedStore();
  const before = await fingerprint(directory);
  const found = await explained(directory);
  expect([found.code, found.state]).toEqual([0, 'opens']);
  expect(found.because.join('\n')).toMatch(/^Opening would replay/);
  expect(found.next.command).toBe(`lodestore verify ${directory}`);
  expect(await fingerprint(directory)).toEqual(before);
  const { out } = await runCli(['explain', directory]);
  expect(out).toMatch(
    /^.*\nIt opens\. .*\n\nWhy:\n {2}Opening would .*\n\nNext: lodestore verify /,
  );
});

test('a store that is open is reported with its owner as sound', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  const found = await explained(directory);
  expect([found.code, found.state]).toEqual([3, 'locked']);
  expect(found.summary).toContain(`process ${process.pid} on host `);
  expect(found.next.command).toContain(`ps `);
  await store.close();
  expect((await explained(directory)).state).toBe('opens');
});

test("the ancestor's directory", async () => {
  const found = await explained(await copyOf(ANCESTOR, 'c-snapshot-and-live-log'));
  expect([found.code, found.state]).toEqual([0, 'opens']);
  expect(found.because.join('\n')).toContain('lodestore export --format ancestor');
});

test('a later format: nothing is lost, and a later version is needed', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
  await store.close();
  const path = join(directory, 'log_0000000000000001');
  const bytes = await readFile(path);
  bytes.writeUInt32LE(99, 8);
  const seed = new ChecksumSeed(bytes.subarray(16, 32), 'log', 1);
  bytes.writeUInt32LE(seed.checksum(bytes.subarray(0, 124), 0), 124);
  await writeFile(path, bytes);
  const found = await explained(directory);
  expect([found.code, found.state]).toEqual([4, 'newer format']);
  expect(found.summary).toContain('Nothing is lost');
  expect(found.next.command).toBe('npm install lodestore@latest');
});

test.each([
  ['EIO', 'dmesg'],
  ['EACCES', 'ls -ld /s'],
  ['EMFILE', 'lodestore explain /s'],
] as const)('%s: what the system says is no damage', async (error, next) => {
  const fs = machineWith(subject.files);
  fs.faults.add({ call: 'open', path: /log_0000000000000005/, mode: 'sticky', error });
  const found = await explainedOn(fs);
  expect([found.code, found.state]).toEqual([4, 'unreadable']);
  expect(found.because[0]).toContain(
    `a file could not be read: ${error} at /s/log_0000000000000005`,
  );
  expect(found.next.command).toContain(next);
  expect(found.choices.map((choice) => choice.command).join('\n')).toBe(
    error === 'EIO'
      ? 'cp -a /s /another/disk/\nlodestore salvage --skip-unreadable /s /s-salvaged\n' +
          'lodestore restore BACKUP /another/disk/store'
      : '',
  );
});

test('a directory that cannot be listed', async () => {
  const fs = machineWith(subject.files);
  fs.faults.add({ call: 'readDirectory', mode: 'sticky', error: 'EACCES' });
  const found = await explainedOn(fs);
  expect([found.code, found.state]).toEqual([4, 'unreadable']);
});

test('an unfinished backup', async () => {
  const fs = machineWith(new Map(subject.files).set('lodestore.incomplete', new Uint8Array(0)));
  const found = await explainedOn(fs);
  expect([found.code, found.state]).toEqual([4, 'incomplete']);
});

test('no directory, a file, an empty directory, and a directory whose files are gone', async () => {
  const directory = await temporaryDirectory();
  const missing = await explained(join(directory, 'missing'));
  expect([missing.code, missing.state]).toEqual([4, 'missing']);
  expect(missing.next.command).toBe(`ls -ld ${directory}`);
  expect(await explained(directory)).toMatchObject({ code: 4, state: 'no store' });
  await writeFile(join(directory, 'note'), 'note');
  expect((await explained(join(directory, 'note'))).state).toBe('missing');
  expect((await explained(directory)).because[1]).toContain('1 other name');
  await writeFile(join(directory, 'lodestore.lock'), '');
  expect((await explained(directory)).because[0]).toContain('its files have been removed');
});

test('paths are quoted for a shell, and foreign names are listed', () => {
  expect(shellWord('/srv/a-b_c.1')).toBe('/srv/a-b_c.1');
  expect(shellWord("it's here")).toBe(`'it'\\''s here'`);
  expect([besideOf('/srv/meta/', 'x'), besideOf('meta', 'x')]).toEqual(['/srv/meta-x', 'meta-x']);
  expect(besideOf('.', 'x')).toBe('./../store-x');
});

test('all advice quotes a path that a shell would split', async () => {
  const directory = join(await temporaryDirectory(), "a store's files");
  await cp(await closedStore(), directory, { recursive: true });
  await flipByte(directory, nth(await namesIn(directory, 'log_'), 0), 300);
  for (const command of ['inspect', 'verify', 'dump', 'explain']) {
    const { out, err } = await runCli([command, directory]);
    const advice = `${out}${err}`.match(/lodestore (?:explain|verify|dump|salvage) .*/g) ?? [];
    expect(advice.length, command).toBeGreaterThan(0);
    for (const line of advice) expect(line).toContain(` ${shellWord(directory)}`);
  }
});

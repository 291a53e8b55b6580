import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explain } from '../../src/cli/explain.ts';
import type { PathAccess, PathOwner } from '../../src/fs/access.ts';
import { MetadataStore } from '../../src/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { fingerprint, runCli, runOn } from '../support/cli.ts';
import { subject } from '../support/damage-table.ts';
import { machineWith, storeFiles } from '../support/machine.ts';
import { closedStore, flipByte, insertBatches, SMALL_LOGS } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

interface Told {
  readonly state: string;
  readonly summary: string;
  readonly because: readonly string[];
  readonly choices: readonly { readonly command: string }[];
  readonly next: { readonly command: string; readonly why: string };
  readonly code: number;
}

async function told(directory: string): Promise<Told> {
  const { out, code, err } = await runCli(['explain', '--json', directory]);
  expect(err).toBe('');
  return { ...(JSON.parse(out) as Omit<Told, 'code'>), code };
}

/** Grants only the permissions that the test names. */
function accessOf(
  userId: number,
  owners: (path: string) => PathOwner,
  refusal?: string,
): PathAccess {
  return {
    userId,
    refusalToChange: () => Promise.resolve(refusal),
    ownerOf: (path) => Promise.resolve(owners(path)),
  };
}

async function toldOn(fs: CrashFs, access?: PathAccess): Promise<Told> {
  const { out, code, err } = await runOn(
    fs,
    (context) => explain(context, '/s', { json: true }),
    access,
  );
  expect(err).toBe('');
  return { ...(JSON.parse(out) as Omit<Told, 'code'>), code };
}

function expectBlocked(found: Told, reason: RegExp, why: RegExp): void {
  expect([found.code, found.state]).toEqual([4, 'blocked']);
  expect(found.summary).toMatch(/^It does not open for writing\./);
  expect(found.because[0]).toMatch(reason);
  expect(found.because.join('\n')).toContain('Opening would replay');
  expect(found.choices.map(({ command }) => command)).toEqual([
    'MetadataStore.open(directory, { readOnly: true })',
  ]);
  expect(found.next.command).toMatch(/^ls -ld /);
  expect(found.next.why).toMatch(why);
}

describe('an object of another type is in the way', () => {
  test('a directory where the lock file should be', async () => {
    const directory = await closedStore();
    rmSync(join(directory, 'lodestore.lock'));
    mkdirSync(join(directory, 'lodestore.lock'));
    const before = await fingerprint(directory);
    expectBlocked(
      await told(directory),
      /lodestore\.lock: it should be a file, but is a dir/,
      /move/,
    );
    expect(await fingerprint(directory)).toEqual(before);
    await expect(MetadataStore.open(directory)).rejects.toMatchObject({ code: 'LODESTORE_IO' });
  });

  test('a file instead of the lease', async () => {
    const directory = await closedStore();
    writeFileSync(join(directory, 'lodestore.lease'), '');
    const before = await fingerprint(directory);
    expectBlocked(await told(directory), /lodestore\.lease: .*but is a file/, /move it elsewhere/);
    expect(await fingerprint(directory)).toEqual(before);
  });
});

describe('the system refuses an operation of open', () => {
  test.each(['EACCES', 'EROFS', 'EPERM'] as const)('the lock file: %s', async (error) => {
    const fs = machineWith(new Map(subject.files).set('lodestore.lock', new Uint8Array(0)));
    const before = storeFiles(fs);
    fs.faults.add({ call: 'open', path: /lodestore\.lock/, mode: 'sticky', error });
    const why = error === 'EROFS' ? /read-only/ : /run as that user/;
    expectBlocked(
      await toldOn(fs),
      new RegExp(`lodestore.lock: it cannot be written: ${error}`),
      why,
    );
    expect(storeFiles(fs)).toEqual(before);
  });

  test.each(['EACCES', 'EROFS', 'EPERM'])('names in the directory: %s', async (error) => {
    const access = accessOf(1000, () => ({ userId: 1000, isSticky: false }), error);
    const found = await toldOn(machineWith(subject.files), access);
    expect(found.because.filter((line) => line.startsWith('/s'))).toHaveLength(1);
    expectBlocked(found, new RegExp(`/s: no file can be created or removed in it: ${error}`), /./);
  });

  test('files of other users in a sticky directory', async () => {
    const owners = (path: string): PathOwner =>
      path === '/s' ? { userId: 0, isSticky: true } : { userId: 7, isSticky: false };
    const found = await toldOn(machineWith(subject.files), accessOf(1000, owners));
    expectBlocked(found, /belongs to user 7, and only its owner may remove it/, /run as that user/);
    expect((await toldOn(machineWith(subject.files), accessOf(7, owners))).state).toBe('opens');
    expect((await toldOn(machineWith(subject.files), accessOf(0, owners))).state).toBe('opens');
  });

  test('files of mixed owners open for one user, and the report says so', async () => {
    const owners = (path: string): PathOwner => ({
      userId: path.endsWith('5') ? 0 : 1000,
      isSticky: false,
    });
    const found = await toldOn(machineWith(subject.files), accessOf(0, owners));
    expect([found.code, found.state]).toEqual([0, 'opens']);
    expect(found.summary).toBe(
      'It opens for user 0; its files have several owners. Everything that was read verifies, and nothing is lost.',
    );
    expect(found.because.at(-1)).toContain('Its files belong to the users 0, 1000');
    expect(found.next.command).toBe('ls -lan /s');
  });
});

const RUN = programPath('run');
const NOBODY = 65_534;

/** Loads the program, changes the user, then runs it. */
const AS_NOBODY = `
  const { run } = await import(${JSON.stringify(RUN)});
  process.setgroups([]);
  process.setgid(${NOBODY});
  process.setuid(${NOBODY});
  const { stdout, stderr } = process;
  const { signal } = new AbortController();
  process.exitCode = await run(process.argv.slice(1), { stdout, stderr, signal });
`;

/** The output for another user; only root can change the user. */
function toldNobody(directory: string): Told {
  const script = ['--input-type=module', '-e', AS_NOBODY, '--'];
  const args = [...script, 'explain', '--json', directory];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { timeout: 60_000 });
  expect(String(stderr)).toBe('');
  return { ...(JSON.parse(String(stdout)) as Omit<Told, 'code'>), code: status ?? -1 };
}

describe.runIf(process.geteuid?.() === 0)('as another user', () => {
  async function ownedBy(userId: number): Promise<string> {
    const directory = await closedStore();
    for (const path of ['.', ...readdirSync(directory)]) {
      chownSync(join(directory, path), userId, userId);
      chmodSync(join(directory, path), path === '.' ? 0o755 : 0o644);
    }
    return directory;
  }

  test('its own files open', async () => {
    expect(toldNobody(await ownedBy(NOBODY))).toMatchObject({ code: 0, state: 'opens' });
  });

  test("root's files are readable but do not open for writing", async () => {
    const found = toldNobody(await ownedBy(0));
    expectBlocked(found, /no file can be created or removed in it: EACCES/, /run as that user/);
    expect(found.because.join('\n')).toMatch(/lodestore\.lock: it cannot be written: EACCES/);
    expect(found.because.join('\n')).toContain(`Checked as user ${NOBODY}`);
  });

  test.each([
    ['the lock file', 'lodestore.lock', 0o600],
    ['the last log', 'log_', 0o644],
  ])('%s is of another user', async (_what, prefix, mode) => {
    const directory = await ownedBy(NOBODY);
    const name = readdirSync(directory).findLast((one) => one.startsWith(prefix))!;
    chownSync(join(directory, name), 0, 0);
    chmodSync(join(directory, name), mode);
    const found = toldNobody(directory);
    expectBlocked(found, new RegExp(`${name}: it cannot be written: EACCES`), /run as that user/);
    expect(found.because.join('\n')).toContain(`belong to the users 0, ${NOBODY}`);
    expect(await told(directory)).toMatchObject({
      state: 'opens',
      summary: expect.stringContaining('its files have several owners') as string,
    });
  });
});

test('for damage under a running process, the advice is not to close it', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  await insertBatches(store, 0, 300);
  await flipByte(directory, 'log_0000000000000001', 300);
  const found = await told(directory);
  expect([found.code, found.state]).toEqual([1, 'damaged']);
  expect(found.because[0]).toMatch(
    new RegExp(`^Process ${process.pid} .* may be the only good copy\\. Do not close`),
  );
  expect(found.because.join('\n')).toContain('entries()');
  expect(found.because.join('\n')).not.toContain('close it there before');
  expect(found.next.command).toContain('ps ');
  expect(found.next.why).toContain('copy its records before it ends');
  await store.close();
  expect((await told(directory)).next.command).toContain('lodestore salvage');
});

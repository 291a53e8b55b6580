import { execFile } from 'node:child_process';
import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPackage } from '../support/built-package.ts';
import { ANCESTOR } from '../support/golden.ts';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const HAS_NODE_ZSTD = 'zstdCompressSync' in zlib;

/** Opens, writes compressible data, merges, opens again; or prints why that failed. */
const APP = `
import { MetadataStore, WriteBatch } from 'lodestore';
try {
  const store = await MetadataStore.open('./store');
  const batch = new WriteBatch();
  for (let key = 1; key <= 3000; key++) batch.put(key, 1, new Uint8Array(100));
  await store.insertBatch(batch);
  await store.merge();
  await store.insertBatch(batch);
  await store.close();
  const again = await MetadataStore.open('./store');
  console.log(JSON.stringify({ size: again.size }));
  await again.close();
} catch ({ name, code, packageName, message }) {
  console.log(JSON.stringify({ name, code, packageName, message }));
}
`;

let built = '';

beforeAll(async () => {
  built = await buildPackage();
});

afterAll(() => rm(built, { recursive: true, force: true }));

/** The output of the application if \`without\` is not in its node_modules. */
async function runWithout(
  without: readonly string[],
  flags: readonly string[] = [],
  app: string = APP,
): Promise<Record<string, unknown>> {
  const home = await mkdtemp(join(await realpath(tmpdir()), 'lodestore-native-'));
  try {
    await cp(join(built, 'dist'), join(home, 'dist'), { recursive: true });
    await copyFile(join(built, 'package.json'), join(home, 'package.json'));
    await writeFile(join(home, 'app.mjs'), app);
    const names = (await readdir(MODULES)).flatMap((name) => (name === '@node-rs' ? [] : [name]));
    const nodeRs = (await readdir(join(MODULES, '@node-rs'))).map((name) => `@node-rs/${name}`);
    for (const name of [...names, ...nodeRs]) {
      if (name.startsWith('.') || without.some((one) => name.startsWith(one))) continue;
      const link = join(home, 'node_modules', name);
      await mkdir(dirname(link), { recursive: true });
      await symlink(join(MODULES, name), link);
    }
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, 'app.mjs'], {
      cwd: home,
    });
    return JSON.parse(stdout) as Record<string, unknown>;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

test.each(['@node-rs/crc32', 'fs-native-extensions'])(
  'without %s, open rejects and names the remedy',
  async (name) => {
    const error = await runWithout([name]);
    expect(error).toMatchObject({ name: 'NativePackageError', code: 'LODESTORE_NATIVE' });
    expect(error['packageName']).toBe(name);
    expect(error['message']).toMatch(/npm.*pnpm.*yarn/);
  },
);

test('where native add-ons are switched off, open says so', async () => {
  const error = await runWithout([], ['--no-addons']);
  expect(error).toMatchObject({ code: 'LODESTORE_NATIVE', packageName: '@node-rs/crc32' });
  expect(error['message']).toMatch(/switched off .* without --no-addons; .* --allow-addons\.$/);
});

test.skipIf(HAS_NODE_ZSTD)('without any zstd, open rejects and names the remedy', async () => {
  const error = await runWithout(['zstd-napi']);
  expect(error).toMatchObject({ code: 'LODESTORE_NATIVE', packageName: 'zstd-napi' });
  expect(error['message']).toMatch(/npm rebuild zstd-napi.*pnpm approve-builds.*yarn.*22\.15/);
});

/** Verifies a sound directory of the ancestor with the command line. */
const VERIFY = `
import { spawnSync } from 'node:child_process';
const argv = ['dist/cli/main.js', 'verify', ${JSON.stringify(join(ANCESTOR, 'b-one-log'))}];
const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
console.log(JSON.stringify({ status, stdout, stderr }));
`;

test('a missing package is no damage of a directory', async () => {
  expect(await runWithout([], [], VERIFY)).toMatchObject({ status: 0, stderr: '' });
  const missing = HAS_NODE_ZSTD ? '@node-rs/crc32' : 'zstd-napi';
  expect(await runWithout([missing], [], VERIFY)).toMatchObject({
    status: 4,
    stdout: '',
    stderr: expect.stringContaining(`the native part of ${missing} could not be loaded`) as unknown,
  });
});

test.runIf(HAS_NODE_ZSTD)("without zstd-napi, Node's own zstd is used", async () => {
  expect(await runWithout(['zstd-napi'])).toEqual({ size: 3000 });
});

import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build as esbuild } from 'esbuild';
import { rolldown } from 'rolldown';
import { build as vite } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPackage } from '../support/built-package.ts';

/** Native packages are never bundled: their binaries are beside their own files. */
const NATIVE = ['@node-rs/crc32', 'zstd-napi', 'fs-native-extensions', 'proper-lockfile'];
const isNative = (id: string): boolean => NATIVE.some((name) => id.startsWith(name));

/** Writes, merges, closes, opens again, and prints what it read. */
const APP = `
import { MetadataStore, WriteBatch } from 'lodestore';
async function main() {
  const warnings = [];
  process.on('warning', ({ code }) => warnings.push(code));
  const store = await MetadataStore.open(process.argv[2]);
  const batch = new WriteBatch();
  for (let key = 1; key <= 1000; key++) batch.put(key, 1, new Uint8Array(100));
  await store.insertBatch(batch);
  await store.merge();
  const merged = store.stats().merges.completed;
  await store.close();
  const again = await MetadataStore.open(process.argv[2]);
  console.log(JSON.stringify({ merged, size: again.size, warnings }));
  await again.close();
}
void main();
`;

interface Seen {
  readonly merged: number;
  readonly size: number;
  readonly warnings: readonly string[];
}

let home = '';

beforeAll(async () => {
  home = await buildPackage();
  // The application is in the package's own directory, where the package can import itself by name.
  await mkdir(join(home, 'app'));
  await writeFile(join(home, 'app', 'main.mjs'), APP);
});

afterAll(() => rm(home, { recursive: true, force: true }));

async function run(file: string): Promise<Seen> {
  const directory = join(home, `${file.replaceAll(/\W/g, '-')}-store`);
  const { stdout } = await promisify(execFile)(process.execPath, [join(home, file), directory]);
  return JSON.parse(stdout) as Seen;
}

const input = (): string => join(home, 'app', 'main.mjs');

test('rolldown inlines the package: everything runs on the main thread, with one warning', async () => {
  const bundle = await rolldown({ input: input(), platform: 'node', external: isNative });
  await bundle.write({ dir: join(home, 'rolldown'), entryFileNames: 'app.mjs' });
  const seen = await run('rolldown/app.mjs');
  expect(seen).toEqual({ merged: 1, size: 1000, warnings: ['LODESTORE_THREAD'] });
});

test('rolldown with the thread entry copied beside the bundle: merges run on a thread', async () => {
  const bundle = await rolldown({ input: input(), platform: 'node', external: isNative });
  await bundle.write({ dir: join(home, 'copied'), entryFileNames: 'app.mjs' });
  const entry = await readFile(join(home, 'dist', 'thread-entry.js'));
  await writeFile(join(home, 'copied', 'thread-entry.js'), entry);
  expect(await run('copied/app.mjs')).toEqual({ merged: 1, size: 1000, warnings: [] });
});

test.each(['esm', 'cjs'] as const)(
  'esbuild inlines the package (%s): everything runs on the main thread, with one warning',
  async (format) => {
    const outfile = join(home, 'esbuild', `app.${format === 'esm' ? 'mjs' : 'cjs'}`);
    const options = { bundle: true, platform: 'node', format, outfile } as const;
    await esbuild({ ...options, entryPoints: [input()], external: NATIVE, logLevel: 'silent' });
    const seen = await run(`esbuild/app.${format === 'esm' ? 'mjs' : 'cjs'}`);
    expect(seen).toEqual({ merged: 1, size: 1000, warnings: ['LODESTORE_THREAD'] });
  },
);

test('esbuild with external packages: everything runs as if not bundled', async () => {
  const outfile = join(home, 'esbuild', 'external.mjs');
  const options = { bundle: true, platform: 'node', format: 'esm', packages: 'external' } as const;
  await esbuild({ ...options, entryPoints: [input()], outfile });
  expect(await run('esbuild/external.mjs')).toEqual({ merged: 1, size: 1000, warnings: [] });
});

test.each(['external', 'inlined'] as const)('vite for a server (SSR), %s', async (mode) => {
  const outDir = join(home, `vite-${mode}`);
  await vite({
    root: join(home, 'app'),
    configFile: false,
    logLevel: 'silent',
    ssr: mode === 'inlined' ? { noExternal: true, external: NATIVE } : { external: ['lodestore'] },
    build: {
      ssr: input(),
      outDir,
      emptyOutDir: true,
      rollupOptions: { output: { entryFileNames: 'app.mjs' } },
    },
  });
  const warnings = mode === 'inlined' ? ['LODESTORE_THREAD'] : [];
  expect(await run(`vite-${mode}/app.mjs`)).toEqual({ merged: 1, size: 1000, warnings });
});

test('webpack finds the thread entry: merges run on a thread', async () => {
  const { webpack } = createRequire(import.meta.url)('webpack') as typeof import('webpack');
  const compiler = webpack({
    mode: 'none',
    target: 'node20',
    entry: input(),
    experiments: { outputModule: true },
    output: {
      path: join(home, 'webpack'),
      filename: 'app.mjs',
      chunkFilename: '[name].mjs',
      module: true,
    },
    externals: [
      ({ request = '' }) => Promise.resolve(isNative(request) ? `module ${request}` : undefined),
    ],
  });
  await new Promise<void>((resolve, reject) => {
    compiler.run((error, stats) => {
      if (error !== null) reject(error);
      else if (stats!.hasErrors()) reject(new Error(stats!.toString('errors-only')));
      else resolve();
    });
  });
  expect(await run('webpack/app.mjs')).toEqual({ merged: 1, size: 1000, warnings: [] });
});

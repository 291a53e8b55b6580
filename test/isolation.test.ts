import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ISOLATED_FILES } from './support/isolated-files.ts';
import { lookedAt, SharedState } from './support/shared-state.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

const FILES = ['test', 'property-tests'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(folder, name)),
);

const state = new SharedState((path) => /^(?:src|examples)\//.test(relative(ROOT, path)));

test('no file that shares a process changes or counts what belongs to the process', () => {
  const wrong = FILES.filter((file) => ISOLATED_FILES[file] === undefined)
    .flatMap((file) => state.usesOf(join(ROOT, file)).map((use) => `${file}: ${use}`))
    .map((line) => line.replaceAll(ROOT, ''));
  expect(wrong, 'add it to test/support/isolated-files.ts').toEqual([]);
});

test('every isolated file exists and needs a process of its own', () => {
  const files = Object.keys(ISOLATED_FILES);
  expect(files.filter((file) => !FILES.includes(file))).toEqual([]);
  expect(files.filter((file) => state.usesOf(join(ROOT, file)).length === 0)).toEqual([]);
});

/** In parts, because this file has no process of its own. */
const OPEN_FILES = ['', 'proc', 'self', 'fd'].join('/');

test.each([
  ["vi.mock('x', () => ({}));", 'vi.mock'],
  ['vi.useFakeTimers();', 'vi.useFakeTimers'],
  ["import * as m from 'm'; vi.spyOn(m, 'f');", 'vi.spyOn(m)'],
  ["vi.spyOn(process, 'emitWarning');", 'vi.spyOn(process)'],
  ["vi.spyOn(Date.prototype, 'getTime');", 'vi.spyOn(Date)'],
  ["process.chdir('/');", 'process.chdir'],
  ["process.once('SIGHUP', f);", 'process.once'],
  ["process.env['HOME'] = '/';", "process.env['HOME'] ="],
  ["delete process.env['HOME'];", "process.env['HOME'] ="],
  ['Math.random = () => 0;', 'Math.random ='],
  ['const fakes = globalThis as Fakes;', 'globalThis'],
  [`readdirSync('${OPEN_FILES}');`, OPEN_FILES],
  ["import { setFlagsFromString } from 'node:v8';", 'node:v8'],
  ["const store = open(); vi.spyOn(store, 'stats');", undefined],
  ["const path = process.env['HOME']; process.kill(child.pid);", undefined],
  ['class A { b = 1; c() { this.b = 2; } }', undefined],
  ['const script = `process.chdir("/")`;', undefined],
])('%s', (text, use) => {
  expect(lookedAt('/x.test.ts', text).uses).toEqual(use === undefined ? [] : [use]);
});

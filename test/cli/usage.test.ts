import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { StoreLockedError } from '../../src/index.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { exitCodeOf } from '../../src/cli/output/exit-code.ts';
import { runCli } from '../support/cli.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const READERS = ['inspect', 'verify', 'dump', 'hash'];

test.each(COMMANDS)('$name --help has its example, options and exit codes', async (command) => {
  const { name, example, options, exitCodes } = command;
  const { code, out, err } = await runCli([...name.split(' '), '--help']);
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain(`Example:\n  lodestore ${example}\n`);
  expect(example.startsWith(`${name} `)).toBe(true);
  for (const { long } of options) expect(out).toContain(`  ${long}`);
  const [, told] = out.split('Exit codes:\n');
  const codes = [...told!.matchAll(/^ {2}(\d+) /gm)].map(([, digits]) => Number(digits));
  expect(codes).toEqual(exitCodes.toSorted((a, b) => a - b));
});

test('the program lists its commands and all exit codes', async () => {
  const { code, out } = await runCli(['--help']);
  expect(code).toBe(0);
  for (const { name } of COMMANDS) expect(out).toContain(`  ${name.split(' ')[0]} `);
  expect(out.replaceAll(/\s+/g, ' ')).toContain(
    'Only merge, import and replicate promote, checkpoint and repair change a store.',
  );
  expect(out).toMatch(
    /Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 .*\n {2}4 .*\n {2}70 .*\n {2}130 /,
  );
  const version = await runCli(['--version']);
  expect(version.out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [[]],
  [['inspekt', '/s']],
  [['inspect']],
  [['inspect', '/s', '/t']],
  [['verify', '--frames', '/s']],
  [['dump', '--gte', '-1', '/s']],
  [['dump', '--gte', '18446744073709551616', '/s']],
  [['dump', '--lte', '', '/s']],
  [['dump', '--limit', '1.5', '/s']],
  [['dump', '--keyspace', '1/56', '--gte', '256', '/s']],
  [['dump', '']],
  [['merge', '']],
  [['backup', '/s', '']],
  [['replicate', 'status', '--engine', 'etcd://h:99999', '--log', 'a']],
  [['replicate', 'status', '--engine', 'etcd://a:%@h', '--log', 'a']],
])('wrong usage: %j', async (argv) => {
  const { code, out, err } = await runCli(argv);
  expect([code, out]).toEqual([2, '']);
  expect(err).toContain(argv.length === 0 ? 'Usage: lodestore' : 'lodestore: ');
});

const PATH_OPTIONS = COMMANDS.flatMap(({ name, options }) =>
  options
    .filter(({ flags }) => /<(path|directory|previous)>/.test(flags))
    .map(({ long }) => [name, long ?? ''] as const),
);

test.each(PATH_OPTIONS)('%s %s refuses an empty path and a URL', async (name, option) => {
  for (const [path, why] of [
    ['', 'A path must not be empty.'],
    ['file:///s', 'It is a URL'],
  ] as const) {
    const { code, out, err } = await runCli([...name.split(' '), option, path]);
    expect([code, out, err]).toEqual([2, '', expect.stringContaining(why)]);
  }
});

test('the options with paths are found', () => {
  const options = new Set(PATH_OPTIONS.map(([, option]) => option));
  expect([...options].sort()).toEqual([
    '--checkpoints',
    '--in',
    '--incremental',
    '--node',
    '--out',
  ]);
});

const WITH_PATHS = COMMANDS.filter(({ name }) => !name.startsWith('replicate '))
  .map(({ name, arguments: given }) => [name, Object.keys(given).length] as const)
  .filter(([, count]) => count > 0);

test.each(WITH_PATHS)('%s refuses a URL for each of %i arguments', async (name, count) => {
  for (let at = 0; at < count; at++) {
    const paths = Array.from({ length: count }, (_, i) => (i === at ? 'file:///s' : '/nowhere'));
    const { code, err } = await runCli([name, ...paths]);
    expect([code, err]).toEqual([2, expect.stringContaining('It is a URL')]);
  }
});

test.each(READERS)('%s of a missing path, of a file, of an empty directory', async (command) => {
  const directory = await temporaryDirectory();
  const file = join(directory, 'file');
  await writeFile(file, '');
  const missing = await runCli([command, join(directory, 'missing')]);
  expect(missing.code).toBe(4);
  expect(missing.err).toMatch(/^lodestore: there is no store at .*missing\. Check the path/);
  const ofFile = await runCli([command, file]);
  expect(ofFile.code).toBe(4);
  expect(ofFile.err).toContain('is not a directory');
  const empty = await runCli([command, directory]);
  expect(empty.code).toBe(4);
  expect(empty.err).toContain('there is no store in');
});

test('a lock held by another process has its own exit code', () => {
  const owner = { pid: 1, hostName: 'h', openedAtMs: 0 };
  expect(exitCodeOf(new StoreLockedError('locked', owner))).toBe(3);
});

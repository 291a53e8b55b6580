import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectionsFor, openFilesLimit } from '../../examples/storage-node/src/cli/open-files.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { cli } from './support/cli.ts';

test.each([
  [['create'], 'buckets create NAME'],
  [['remove', 'photos'], 'buckets create NAME'],
  [['list', 'photos'], 'buckets create NAME'],
  [['--mode', 'cache'], 'buckets create NAME'],
  [['create', 'Photos'], 'lower-case letters'],
  [['create', 'photos', '--mode', 'ring'], 'mode must be one of keep, cache, quota'],
  [['create', 'photos', '--mode', 'quota'], 'mode quota needs quotaBytes'],
  [['create', 'photos', '--quota-bytes', '1G'], 'quotaBytes needs mode quota'],
  [['create', 'photos', '--mode', 'quota', '--quota-bytes', 'much'], 'much is not a number'],
  [['create', 'photos', '--ttl-seconds', '1.5'], '--ttl-seconds must be a whole number'],
  [['create', 'photos', '--compress', 'gzip'], 'compression must be none or zstd'],
  [['create', 'photos', '--acknowledge', 'never'], 'acknowledge must be synced or deferred'],
])('wrong use is told before the node is touched: buckets %j', async (args, reason) => {
  const said = await cli(['buckets', ...args, '--data', '/nowhere/at/all']);
  expect(said).toMatchObject({ code: 2, out: '' });
  expect(said.err).toContain(reason);
});

test.each([
  [['status', '--volume-bytes', '1M'], 'unknown option'],
  [['keys', 'list', 'more'], 'keys remove ID'],
  [['keys', 'add', 'mine'], 'keys remove ID'],
  [['keys', 'remove'], 'keys remove ID'],
  [['scrub', '--rate', 'fast'], '--rate: fast is not a number of bytes such as 64M'],
  [['start', '--port', '0x50'], '--port: 0x50 is not a port from 0 to 65535'],
  [['start', '--admin-port', '70000'], '--admin-port: 70000 is not a port from 0 to 65535'],
  [['start', '--volume-bytes', 'much'], '--volume-bytes: much is not a number of bytes'],
  [['start', '--volume-bytes', '1'], '--volume-bytes must be a number of at least 65536'],
  [['start', '--queue-bytes', '1K'], '--queue-bytes must be a number of at least 65536'],
  [['start', '--dead-ratio', 'half'], '--dead-ratio: half is not a share such as 0.5'],
  [['start', '--port', ''], '--port:  is not a port'],
  [['start', '--domain', 'a_b'], '--domain: a_b is not the name of a host'],
  [['start', '--domain', '10.0.0.1'], '--domain: 10.0.0.1 is not the name of a host'],
  [['start', '--signature-v2', 'no'], '--signature-v2: on or off'],
  [['start', '--host', ''], '--host: an empty address would be every address'],
  [['start', '--access-key', 'A'], '--access-key and --secret-key go together'],
])('wrong use is told in one line: %j', async (args, reason) => {
  const said = await cli([...args, '--data', '/nowhere/at/all']);
  expect(said).toMatchObject({ code: 2, out: '' });
  expect(said.err).toContain(reason);
  expect(said.err).not.toContain('    at ');
});

test.each([
  ['status'],
  ['compact'],
  ['scrub'],
  ['verify'],
  ['rebuild-index'],
  ['evict', 'b'],
  ['buckets'],
  ['keys'],
  ['keys', 'remove', 'A'],
  ['start', '--existing'],
])('a directory without a node is refused and not created: %s %s %s', async (...args) => {
  const data = join(await temporaryDirectory(), 'typo');
  const given = args.filter((arg) => arg !== undefined);
  const said = await cli([
    ...given,
    '--data',
    data,
    ...(given[0] === 'start' ? ['--port', '0'] : []),
  ]);
  expect(said).toMatchObject({ code: 1, out: '' });
  expect(said.err).toContain(`there is no node in ${data}. Name its directory by --data`);
  await expect(stat(data)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a directory is made with those above it; a file in its place is named', async () => {
  const parent = join(await temporaryDirectory(), 'a');
  expect(await cli(['keys', 'add', '--data', join(parent, 'b')])).toMatchObject({ code: 0 });
  expect((await stat(join(parent, 'b'))).mode & 0o777).toBe(0o700);
  const file = join(parent, 'b', 'keys.json');
  const said = await cli(['keys', 'add', '--data', file]);
  expect(said).toMatchObject({ code: 1, err: `${file} is not a directory\n` });
});

// A directory that takes no other; where there is none, it is made and refused in another way.
test('a directory that cannot be made is told', async () => {
  expect(await cli(['keys', 'add', '--data', '/proc/x'])).toMatchObject({ code: 1, out: '' });
});

test('an address may have brackets, as in a URL', async () => {
  const data = ['--data', await temporaryDirectory()];
  const said = await cli(['start', '--host', '[192.0.2.1]', '--port', '0', ...data]);
  expect(said).toMatchObject({ code: 1, out: '' });
  expect(said.err).toContain('port 0 of 192.0.2.1 cannot be listened on');
});

test('connections leave descriptors for files', () => {
  expect([120, 1024, 4096, 1e6, Infinity].map(connectionsFor)).toEqual([
    64, 640, 3712, 10_000, 10_000,
  ]);
  expect(openFilesLimit()).toBeGreaterThan(100);
});

test('the version is that of the package', async () => {
  const said = await cli(['--version']);
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

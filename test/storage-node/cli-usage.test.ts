import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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

test('the version is that of the package', async () => {
  const said = await cli(['--version']);
  expect(said).toMatchObject({ code: 0, err: '' });
  expect(said.out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../examples/storage-node/src/cli/run.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, openNode, put } from './support/nodes.ts';

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function cli(args: readonly string[], signal = new AbortController().signal): Promise<Said> {
  let out = '';
  let err = '';
  const code = await run(args, {
    out: (text) => (out += text),
    err: (text) => (err += text),
    isTerminal: false,
    signal,
    onHangup: () => () => {},
  });
  return { code, out, err };
}

test('each command works on a stopped node', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  await node.createBucket('c', { mode: 'cache' });
  for (let i = 0; i < 30; i++) await put(node, 'b', `n${i}`, bytesOf(70_000));
  for (let i = 0; i < 29; i++) await node.delete('b', `n${i}`);
  await put(node, 'c', 'x', bytesOf(10));
  expect(await cli(['status', '--data', data])).toMatchObject({ code: 1 });
  await node.close();
  const at = ['--data', data];
  const status = await cli(['status', ...at, '--json']);
  expect(JSON.parse(status.out)).toMatchObject({ objects: 2, buckets: 2 });
  expect((await cli(['status', ...at])).out).toContain('bucket c');
  expect((await cli(['compact', ...at])).out).toMatch(/^[1-9]\d* volumes emptied/);
  expect(await cli(['scrub', ...at])).toMatchObject({ code: 0 });
  expect((await cli(['verify', ...at])).out).toContain('sound');
  expect(await cli(['evict', 'c', ...at])).toMatchObject({ code: 0 });
  expect(await cli(['evict', 'b', ...at])).toMatchObject({ code: 1 });
  expect((await cli(['rebuild-index', ...at])).out).toContain('1 objects in 2 buckets');
  expect(JSON.parse((await cli(['verify', ...at, '--json'])).out)).toMatchObject({
    isSound: true,
    listed: 1,
  });
  const added = JSON.parse((await cli(['keys', 'add', ...at])).out) as { accessKeyId: string };
  expect((await cli(['keys', ...at])).out).toBe(`${added.accessKeyId}\n`);
  expect((await stat(join(data, 'keys.json'))).mode & 0o777).toBe(0o600);
  expect(await cli(['keys', 'remove', added.accessKeyId, ...at])).toMatchObject({ code: 0 });
  expect(await cli(['keys', 'lose', ...at])).toMatchObject({ code: 2 });
  expect(await cli(['nonsense'])).toMatchObject({ code: 2 });
});

test('start creates keys that only the owner can read, prints its address, and stops on a signal', async () => {
  const data = await temporaryDirectory();
  const stop = new AbortController();
  let said = '';
  let start: () => void = () => {};
  const started = new Promise<void>((resolve) => (start = resolve));
  const done = run(['start', '--data', data, '--port', '0', '--admin-port', '0'], {
    out: (text) => {
      said += text;
      if (said.includes('Data ')) start();
    },
    err: (text) => (said += text),
    isTerminal: false,
    signal: stop.signal,
    onHangup: () => () => {},
  });
  await Promise.race([started, done]);
  const [, endpoint] = /S3 endpoint {4}(\S+)/.exec(said) ?? [];
  expect((await fetch(endpoint!)).status).toBe(403);
  const [, page] = /Status page {4}(\S+)/.exec(said) ?? [];
  expect((await fetch(`${page!}/metrics`)).status).toBe(200);
  // `status` asks the node; other commands say that it runs.
  expect(JSON.parse((await cli(['status', '--data', data, '--json'])).out)).toMatchObject({
    objects: 0,
  });
  const scrub = await cli(['scrub', '--data', data]);
  expect(scrub.code).toBe(1);
  expect(scrub.err).toMatch(/\nA node runs on this directory\. /);
  const { port } = new URL(endpoint!);
  const other = ['start', '--data', await temporaryDirectory(), '--admin-port', '0'];
  expect(await cli([...other, '--port', port])).toMatchObject({
    code: 1,
    err: `port ${port} of 127.0.0.1 cannot be listened on: another program listens there. Choose another by --port\n`,
  });
  expect((await stat(join(data, 'keys.json'))).mode & 0o777).toBe(0o600);
  stop.abort();
  expect(await done).toBe(0);
});

import { EventEmitter, once } from 'node:events';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Machine, machineIo } from '../../examples/storage-node/src/cli/machine-io.ts';
import { run } from '../../examples/storage-node/src/cli/run.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { cli } from './support/cli.ts';
import { bytesOf, openNode, put } from './support/nodes.ts';
import { KEY, signHeaders } from './support/signed-request.ts';

test('each command works on a stopped node', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  await node.createBucket('c', { mode: 'cache' });
  const names = Array.from({ length: 30 }, (_, i) => `n${i}`);
  await Promise.all(names.map((name) => put(node, 'b', name, bytesOf(70_000))));
  await Promise.all(names.slice(0, 29).map((name) => node.delete('b', name)));
  await put(node, 'c', 'x', bytesOf(10));
  // Another program has it open, and takes no commands.
  const refused = await cli(['status', '--data', data]);
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(refused.err).toContain('Another program has the node open');
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
  expect((await cli(['rebuild-index', ...at])).out).toContain('objects 1, buckets 2');
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

/** A node that `start` serves, stopped also when the test fails. */
async function started(args: readonly string[]): Promise<{
  readonly said: () => string;
  readonly stop: () => Promise<number>;
  readonly hangUp: () => void;
}> {
  const stop = new AbortController();
  let said = '';
  let hangUp: () => void = () => {};
  let ready: () => void = () => {};
  const isReady = new Promise<void>((resolve) => (ready = resolve));
  const done = run(['start', ...args, '--port', '0', '--admin-port', '0'], {
    out: (text) => {
      said += text;
      if (said.includes('Data ')) ready();
    },
    err: (text) => (said += text),
    isTerminal: false,
    signal: stop.signal,
    onHangup: (listener) => {
      hangUp = listener;
      return () => {};
    },
  });
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  await Promise.race([isReady, done]);
  return {
    said: () => said,
    hangUp: () => hangUp(),
    stop: () => {
      stop.abort();
      return done;
    },
  };
}

test('start creates keys that only the owner can read, prints its address, and stops on a signal', async () => {
  const data = await temporaryDirectory();
  const server = await started(['--data', data]);
  const [, endpoint] = /S3 endpoint {4}(\S+)/.exec(server.said()) ?? [];
  expect((await fetch(endpoint!)).status).toBe(403);
  const [, page] = /Status page {4}(\S+)/.exec(server.said()) ?? [];
  expect((await fetch(`${page!}/metrics`)).status).toBe(200);
  expect(JSON.parse((await cli(['status', '--data', data, '--json'])).out)).toMatchObject({
    objects: 0,
  });
  const second = await cli(['start', '--data', data, '--port', '0', '--admin-port', '0']);
  expect(second.code).toBe(1);
  expect(second.err).toBe(
    `the node in ${data} is already served: S3 ${endpoint}, status page ${page}, process ${process.pid}\n`,
  );
  const { port } = new URL(endpoint!);
  const other = ['start', '--data', await temporaryDirectory(), '--admin-port', '0'];
  expect(await cli([...other, '--port', port])).toMatchObject({
    code: 1,
    err: `port ${port} of 127.0.0.1 cannot be listened on: another program listens there. Choose another by --port\n`,
  });
  expect((await stat(join(data, 'keys.json'))).mode & 0o777).toBe(0o600);
  expect(await server.stop()).toBe(0);
});

test('while the node runs it does each command itself', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  await node.createBucket('c', { mode: 'cache' });
  await put(node, 'c', 'x', bytesOf(10));
  await put(node, 'b', 'kept', bytesOf(1_000));
  const names = Array.from({ length: 30 }, (_, i) => `n${i}`);
  await Promise.all(names.map((name) => put(node, 'b', name, bytesOf(70_000))));
  await Promise.all(names.map((name) => node.delete('b', name)));
  await node.close();
  const at = ['--data', data];
  const server = await started([...at, '--reserve-bytes', '0', '--dead-ratio', '2']);
  expect((await stat(join(data, 'running.json'))).mode & 0o777).toBe(0o600);
  expect(JSON.parse((await cli(['status', ...at, '--json'])).out)).toMatchObject({ objects: 2 });
  expect(await cli(['compact', ...at])).toMatchObject({ code: 0 });
  expect((await cli(['scrub', ...at])).out).toMatch(/ 0 damaged\n$/);
  const verified = JSON.parse((await cli(['verify', ...at, '--json'])).out) as object;
  expect(verified).toMatchObject({ isSound: true, listed: 2, recount: { isExact: true } });
  expect(await cli(['evict', 'c', ...at])).toMatchObject({ code: 0 });
  const nowhere = await cli(['evict', 'nowhere', ...at]);
  expect(nowhere).toMatchObject({ code: 1, err: 'there is no bucket "nowhere"\n' });
  // Only who reads the directory may command.
  const { control } = JSON.parse(await readFile(join(data, 'running.json'), 'utf8')) as {
    control: string;
  };
  const headers = { authorization: 'Bearer guess' };
  const body = JSON.stringify({ command: 'compact' });
  expect((await fetch(control, { method: 'POST', headers, body })).status).toBe(403);
  expect((await fetch(control)).status).toBe(403);
  await server.stop();
  expect(JSON.parse((await cli(['status', ...at, '--json'])).out)).toMatchObject({ objects: 1 });
});

test('buckets are created with policies and listed, in a stopped node and in a running one', async () => {
  const data = await temporaryDirectory();
  const at = ['--data', data];
  const create = (...args: string[]) => cli(['buckets', 'create', ...args, ...at]);
  const list = async () => JSON.parse((await cli(['buckets', '--json', ...at])).out) as unknown[];
  const all = async (known: number): Promise<void> => {
    const quota = ['--mode', 'quota', '--quota-bytes', '1M', '--ttl-seconds', '60'];
    const more = ['--acknowledge', 'deferred', '--compress', 'zstd'];
    const created = await create(`log-${known}`, ...quota, ...more);
    expect(created).toEqual({
      code: 0,
      out: `bucket log-${known}: quota 1.0 MiB, ttl 60 s, acknowledge deferred, compress zstd\n`,
      err: '',
    });
    expect(await create(`plain-${known}`)).toMatchObject({ code: 0 });
    expect(await list()).toHaveLength(known + 2);
    expect(await list()).toContainEqual({
      name: `log-${known}`,
      createdMs: expect.any(Number) as number,
      policy: {
        mode: 'quota',
        quotaBytes: 2 ** 20,
        ttlMs: 60_000,
        acknowledge: 'deferred',
        compression: 'zstd',
      },
      objects: 0,
      bytes: 0,
    });
    const again = await create(`plain-${known}`, '--mode', 'cache');
    expect(again).toMatchObject({ code: 1, out: '' });
    expect(again.err).toContain('already exists');
  };
  await all(0);
  await started(at);
  await all(2);
  const table = (await cli(['buckets', ...at])).out.split('\n');
  expect(table[0]).toMatch(/^bucket +objects +size +policy$/);
  expect(table[1]).toMatch(
    /^log-0 +0 +0 B +quota 1\.0 MiB, ttl 60 s, acknowledge deferred, compress zstd$/,
  );
  expect(table[3]).toMatch(/^plain-0 +0 +0 B +keep$/);
});

test('status says how many PUTs were acknowledged and are not durable yet', async () => {
  const data = await temporaryDirectory();
  const at = ['--data', data];
  await cli(['buckets', 'create', 'cache', '--acknowledge', 'deferred', ...at]);
  const fixed = ['--access-key', KEY.accessKeyId, '--secret-key', KEY.secretAccessKey];
  const server = await started([...at, ...fixed]);
  expect((await cli(['status', ...at])).out).not.toContain('not durable yet');
  const [, endpoint = ''] = /S3 endpoint {4}(\S+)/.exec(server.said()) ?? [];
  const stored = { method: 'PUT', target: '/cache/a', body: 'bytes', key: KEY };
  const headers = signHeaders(new URL(endpoint).host, stored);
  const { method, body } = stored;
  expect((await fetch(`${endpoint}/cache/a`, { method, body, headers })).status).toBe(200);
  expect((await cli(['status', ...at])).out).toMatch(
    /^[01] PUTs acknowledged and not durable yet$/m,
  );
  // A stop writes them.
  expect(await server.stop()).toBe(0);
  const [bucket] = JSON.parse((await cli(['buckets', '--json', ...at])).out) as object[];
  expect(bucket).toMatchObject({ name: 'cache', objects: 1, bytes: 5 });
});

async function addKey(data: string): Promise<typeof KEY> {
  return JSON.parse((await cli(['keys', 'add', '--data', data])).out) as typeof KEY;
}

test('keys of a running node take effect at once, and last', async () => {
  const data = await temporaryDirectory();
  const server = await started(['--data', data]);
  const [, endpoint = ''] = /S3 endpoint {4}(\S+)/.exec(server.said()) ?? [];
  const statusOf = async (key: typeof KEY): Promise<number> => {
    const headers = signHeaders(new URL(endpoint).host, { method: 'GET', target: '/', key });
    return (await fetch(endpoint, { headers })).status;
  };
  const stored = async (): Promise<(typeof KEY)[]> =>
    JSON.parse(await readFile(join(data, 'keys.json'), 'utf8')) as (typeof KEY)[];
  const [first] = await stored();
  const second = await addKey(data);
  expect([await statusOf(first!), await statusOf(second)]).toEqual([200, 200]);
  expect(await stored()).toEqual([first, second]);
  const remove = ['keys', 'remove', first!.accessKeyId, '--data', data];
  expect(await cli(remove)).toMatchObject({ code: 0, err: '' });
  expect([await statusOf(first!), await statusOf(second)]).toEqual([403, 200]);
  expect(await cli(remove)).toMatchObject({ code: 1 });
  expect((await cli(['keys', '--data', data])).out).toBe(`${second.accessKeyId}\n`);
  // The same id with another secret, in the file: SIGHUP reads it.
  const changed = { ...second, secretAccessKey: 'another-secret' };
  await writeFile(join(data, 'keys.json'), JSON.stringify([changed]));
  expect(await statusOf(changed)).toBe(403);
  server.hangUp();
  await expect.poll(() => server.said()).toContain('the access keys are read again: 1');
  expect([await statusOf(changed), await statusOf(second)]).toEqual([200, 403]);
  await writeFile(join(data, 'keys.json'), '{}');
  server.hangUp();
  await expect.poll(() => server.said()).toContain('the access keys stay as they are: ');
  expect(await statusOf(changed)).toBe(200);
  await server.stop();
});

test('a node with a key of its command line refuses other keys', async () => {
  const data = await temporaryDirectory();
  const fixed = ['--access-key', KEY.accessKeyId, '--secret-key', KEY.secretAccessKey];
  await started(['--data', data, ...fixed]);
  const refused = await cli(['keys', 'add', '--data', data]);
  expect(refused).toMatchObject({ code: 1, out: '' });
  expect(refused.err).toContain('started with --access-key');
  expect((await cli(['keys', '--data', data])).out).toBe(`${KEY.accessKeyId}\n`);
});

test('a node that does not answer gets its keys by the file', async () => {
  const data = await temporaryDirectory();
  const running = { pid: process.pid, control: 'http://127.0.0.1:1', token: 'x' };
  await writeFile(join(data, 'running.json'), JSON.stringify(running));
  const added = await cli(['keys', 'add', '--data', data]);
  expect(added).toMatchObject({ code: 0 });
  expect(added.err).toContain(`kill -HUP ${process.pid}`);
});

/** A stream on a full disk: each write fails, and it stays usable. */
class FullDisk extends EventEmitter {
  isTTY = false;
  written = 0;

  write(): boolean {
    this.written++;
    process.nextTick(() =>
      this.emit('error', Object.assign(new Error('full'), { code: 'ENOSPC' })),
    );
    return true;
  }
}

test('a log that cannot be written does not end the node', async () => {
  const [stdout, stderr] = [new FullDisk(), new FullDisk()];
  const machine = { stdout, stderr, on: () => machine, off: () => machine };
  const io = machineIo(machine as unknown as Machine);
  io.err('one\n');
  await new Promise((resolve) => setImmediate(resolve));
  expect(io.isOutputLost()).toBe(false);
  io.out('two\n');
  await new Promise((resolve) => setImmediate(resolve));
  // A command reports it by its exit code.
  expect(io.isOutputLost()).toBe(true);
  io.err('three\n');
  expect([stdout.written, stderr.written]).toEqual([1, 2]);
});

test('a command that a running node may have done is not done again', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('c', { mode: 'cache' });
  await put(node, 'c', 'x', bytesOf(10));
  await node.close();
  const breaking = createServer((_, response) => {
    response.writeHead(200);
    response.write('\n', () => response.destroy());
  });
  breaking.listen(0, '127.0.0.1');
  await once(breaking, 'listening');
  onTestFinished(() => void breaking.close());
  const { port } = breaking.address() as AddressInfo;
  const running = { pid: process.pid, control: `http://127.0.0.1:${port}`, token: 'x' };
  await writeFile(join(data, 'running.json'), JSON.stringify(running));
  for (const command of [
    ['evict', 'c'],
    ['keys', 'add'],
  ]) {
    const said = await cli([...command, '--data', data]);
    expect(said).toMatchObject({ code: 1, out: '' });
    expect(said.err).toMatch(/^the running node broke off: .*\. It may have done the command\n$/);
  }
  await rm(join(data, 'running.json'));
  expect((await cli(['status', '--data', data])).out).toContain('bucket c');
  const evicted = await cli(['evict', 'c', '--json', '--data', data]);
  expect(JSON.parse(evicted.out)).toMatchObject({ bucket: 'c' });
});

test('scrub shows names of damaged objects without control characters', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  const body = bytesOf(5_000);
  await put(node, 'b', 'a\n\u001b[2J', body);
  await node.close();
  const path = join(data, 'volumes', 'volume-00000001.vol');
  const volume = await readFile(path);
  volume.writeUInt8(body[100]! ^ 1, volume.indexOf(body) + 100);
  await writeFile(path, volume);
  const { code, out } = await cli(['scrub', '--data', data]);
  expect(code).toBe(1);
  expect(out).toContain('("b/a\\n\\u001b[2J"): the bytes are not what was stored\n');
});

test('signals end the process unless a command asks for them', () => {
  const machine = new EventEmitter();
  const streams = { stdout: new FullDisk(), stderr: new FullDisk() };
  const io = machineIo(Object.assign(machine, streams) as unknown as Machine);
  const listeners = (): number[] =>
    ['SIGINT', 'SIGTERM'].map((name) => machine.listenerCount(name));
  expect(listeners()).toEqual([0, 0]);
  const { signal } = io;
  expect(io.signal).toBe(signal);
  expect(listeners()).toEqual([1, 1]);
  machine.emit('SIGTERM');
  expect(signal.aborted).toBe(true);
});

test('a command of a running node ends with the caller that waits for it', async () => {
  const data = await temporaryDirectory();
  const at = ['--data', data];
  await started(at);
  await cli(['buckets', 'create', 'photos', ...at]);
  const { control, token } = JSON.parse(await readFile(join(data, 'running.json'), 'utf8')) as {
    readonly control: string;
    readonly token: string;
  };
  const caller = new AbortController();
  // It would take hours.
  const body = JSON.stringify({ command: 'scrub', bytesPerSecond: 1 });
  const headers = { authorization: `Bearer ${token}` };
  const asked = await fetch(control, { method: 'POST', headers, body, signal: caller.signal });
  const reader = asked.body!.getReader();
  for (let text = ''; !text.includes('progress');) {
    text += new TextDecoder().decode((await reader.read()).value);
  }
  caller.abort();
  // The next one waits for it.
  expect(await cli(['scrub', ...at])).toMatchObject({ code: 0 });
});

test('a node that runs and does not answer is named by its process', async () => {
  const data = await temporaryDirectory();
  await openNode(data);
  const running = { pid: process.pid, control: 'http://127.0.0.1:1', token: 'x' };
  await writeFile(join(data, 'running.json'), JSON.stringify(running));
  const refused = await cli(['compact', '--data', data]);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain(`Stop it with "kill ${process.pid}"`);
});

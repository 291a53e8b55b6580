import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LogLines } from '../../examples/storage-node/src/cli/log-lines.ts';
import { run } from '../../examples/storage-node/src/cli/run.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { cli, type Said } from './support/cli.ts';
import { bytesOf, etagOf, openNode, put } from './support/nodes.ts';
import { KEY, send } from './support/signed-request.ts';

test('status shows the bytes and the age of incomplete uploads', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  const begunMs = Date.now();
  const { uploadId } = await node.createUpload('b', 'film', { headers: {} });
  const part = bytesOf(512 * 1024);
  const describe = () => ({ etag: etagOf(part), meta: { headers: {} } });
  for (const number of [1, 2, 3]) await node.putPart(uploadId, number, [part], { describe });
  await node.createUpload('b', 'empty', { headers: {} });
  await node.close();
  const { out } = await cli(['status', '--data', data]);
  const [, since = ''] =
    /^objects 0, buckets 1, incomplete uploads 2 \(1\.5 MiB, the oldest of (\S+)\)$/m.exec(out) ??
    [];
  expect(Date.parse(since)).toBeGreaterThanOrEqual(begunMs);
  expect(Date.parse(since)).toBeLessThanOrEqual(Date.now());
  const json = JSON.parse((await cli(['status', '--json', '--data', data])).out) as object;
  expect(json).toMatchObject({
    uploads: 2,
    uploadSpace: { partBytes: 3 * part.length, oldestMs: Date.parse(since) },
  });
  const again = await openNode(data);
  for (const upload of (await again.uploads('b')).uploads) await again.abortUpload(upload.uploadId);
  await again.close();
  expect((await cli(['status', '--data', data])).out).toMatch(/, incomplete uploads 0$/m);
});

/** `start` until it serves and `work` is done, then stopped. */
async function startAndStop(
  data: string,
  args: readonly string[] = [],
  work: (endpoint: string) => Promise<void> = async () => {},
): Promise<Said> {
  const stop = new AbortController();
  let [out, err] = ['', ''];
  const at = ['--data', data, '--port', '0', '--admin-port', '0', ...args];
  const code = await run(['start', ...at], {
    out: (text) => {
      out += text;
      if (!text.startsWith('Data ')) return;
      const [, endpoint = ''] = /^S3 endpoint +(\S+)$/m.exec(out) ?? [];
      void work(endpoint).finally(() => stop.abort());
    },
    err: (text) => (err += text),
    isTerminal: false,
    signal: stop.signal,
    onHangup: () => () => {},
  });
  return { code, out, err };
}

test('status says when the disk is full for PUT', async () => {
  const data = await temporaryDirectory();
  await (await openNode(data)).close();
  const text = async (): Promise<string> => (await cli(['status', '--data', data])).out;
  expect(await text()).toMatch(/^\d+\.\d [GT]iB free, 64\.0 MiB of them reserved$/m);
  const stop = new AbortController();
  let said = '';
  const at = ['--data', data, '--port', '0', '--admin-port', '0', '--reserve-bytes', '900T'];
  const full = new Promise<string>((resolve, reject) => {
    run(['start', ...at], {
      out: (line) => {
        said += line;
        if (said.includes('Data ')) text().then(resolve, reject);
      },
      err: () => {},
      isTerminal: false,
      signal: stop.signal,
      onHangup: () => () => {},
    }).catch(reject);
  });
  expect(await full).toMatch(/^\d+\.\d [GT]iB free: full\. PUT is refused below 900\.0 TiB$/m);
  stop.abort();
});

test('a stop and a start after a kill are told', async () => {
  const data = await temporaryDirectory();
  const first = await startAndStop(data);
  expect(first).toMatchObject({ code: 0 });
  expect(first.out).not.toContain('Recovery');
  expect(first.err.split('\n').map((line) => line.replace(/^\S+ /, ''))).toEqual([
    'stopping: 0 requests under way',
    'stopped',
    '',
  ]);
  expect(first.err).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z stopping/);
  expect((await startAndStop(data)).out).not.toContain('Recovery');
  // As after a kill: the file is there, and behind the last group are bytes of an unknown write.
  const dead = { pid: 2 ** 22 + 1, control: 'http://127.0.0.1:1', token: 'x' };
  await writeFile(join(data, 'running.json'), JSON.stringify(dead));
  expect((await startAndStop(data)).out).toMatch(
    /^Recovery {7}the node was not stopped; opened in \d+ ms$/m,
  );
  const node = await openNode(data);
  await node.createBucket('b');
  await put(node, 'b', 'n', bytesOf(1_000));
  await node.close();
  await writeFile(join(data, 'running.json'), JSON.stringify(dead));
  const tail = await open(join(data, 'volumes', 'volume-00000001.vol'), 'a');
  await tail.write(Buffer.alloc(2_048));
  await tail.close();
  expect((await startAndStop(data)).out).toMatch(
    /^Recovery {7}the node was not stopped; opened in \d+ ms, 2\.0 KiB of unacknowledged writes removed$/m,
  );
});

test('a failure of the node is logged once, also without an access log', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  const body = bytesOf(1_000);
  await put(node, 'b', 'n', body);
  await node.close();
  const path = join(data, 'volumes', 'volume-00000001.vol');
  const at = (await readFile(path)).indexOf(body);
  const volume = await open(path, 'r+');
  await volume.write(Buffer.from([body[0]! ^ 1]), 0, 1, at);
  await volume.close();
  const keys = ['--access-key', KEY.accessKeyId, '--secret-key', KEY.secretAccessKey];
  const statuses: number[] = [];
  const { err } = await startAndStop(data, keys, async (endpoint) => {
    for (const target of ['/b/n', '/b/n', '/b/none']) {
      statuses.push((await send(endpoint, { method: 'GET', target })).status);
    }
  });
  expect(statuses).toEqual([500, 500, 404]);
  const lines = err.split('\n').filter((line) => line.includes(' failed: '));
  expect(lines).toEqual([
    expect.stringMatching(
      /^\S+Z GetObject \/b\/n failed: .* not what was stored \(request [0-9A-F]+\)$/,
    ),
  ]);
});

test('damaged metadata is told with the remedies of a node, and no other', async () => {
  const data = await temporaryDirectory();
  const node = await openNode(data);
  await node.createBucket('b');
  for (let i = 0; i < 20; i++) await put(node, 'b', `n${i}`, bytesOf(1_000));
  await node.close();
  const metadata = join(data, 'metadata');
  const [name = ''] = (await readdir(metadata)).filter((file) => file.startsWith('log_'));
  const log = await open(join(metadata, name), 'r+');
  await log.write(Buffer.alloc(16, 0xff), 0, 16, 200);
  await log.close();
  const said = await cli(['start', '--data', data, '--port', '0', '--admin-port', '0']);
  expect(said.code).toBe(1);
  const [what, remedy, ...others] = said.err.split('\n');
  expect(what).toMatch(/log_\S+ is damaged at offset \d+: .*\.$/);
  expect(remedy).toBe(
    'Restore the directory "metadata" from a backup, or run "lodestore-node rebuild-index", which ' +
      'rebuilds it from the volumes and keeps the old one beside it.',
  );
  expect(others).toEqual(['']);
  expect(said.err).not.toMatch(/salvage|explain/);
});

test('a subject is logged once a minute, and then with the number of lines left out', () => {
  let nowMs = Date.UTC(2026, 0, 1);
  let said = '';
  const log = new LogLines({ err: (text) => (said += text) }, () => nowMs);
  for (let i = 0; i < 5; i++) log.sayOnce('a', `a failed (request ${i})`);
  log.sayOnce('b', 'b failed');
  nowMs += 60_000;
  for (let i = 5; i < 8; i++) log.sayOnce('a', `a failed (request ${i})`);
  log.say('stopped');
  log.say('stopped');
  expect(said.split('\n')).toEqual([
    '2026-01-01T00:00:00.000Z a failed (request 0)',
    '2026-01-01T00:00:00.000Z b failed',
    '2026-01-01T00:01:00.000Z a failed (request 5) (and 4 times since the last such line)',
    '2026-01-01T00:01:00.000Z stopped',
    '2026-01-01T00:01:00.000Z stopped',
    '',
  ]);
});

import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import {
  type AdminServerOptions,
  createAdminServer,
} from '../../../examples/storage-node/src/admin/admin-server.ts';
import { readPageFiles } from '../../../examples/storage-node/src/cli/page-files.ts';
import type { NodeOptions } from '../../../examples/storage-node/src/node-options.ts';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { openWorld } from '../support/s3-world.ts';

async function open(options: Partial<AdminServerOptions> = {}, nodeOptions: NodeOptions = {}) {
  const node = await StorageNode.open(await temporaryDirectory(), nodeOptions);
  const world = await openWorld({}, node);
  const admin = createAdminServer({ node, s3: world.server.stats, ...options });
  const url = await admin.listen();
  onTestFinished(async () => {
    await admin.close();
    await world.close();
    await node.close();
  });
  await node.createBucket('bucket');
  return { node, world, url };
}

/** The values of a metric by its labels, from Prometheus text. */
function metric(exposition: string, name: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of exposition.split('\n')) {
    const match = /^(\w+)(\{.*\})? (\S+)$/.exec(line);
    if (match?.[1] === name) found.set(match[2] ?? '', Number(match[3]));
  }
  return found;
}

test('health says whether writes are accepted', async () => {
  const node = { figures: () => Promise.reject(new Error('none')), failure: new Error('lost') };
  const world = await openWorld();
  const admin = createAdminServer({ node, s3: world.server.stats });
  const url = await admin.listen();
  onTestFinished(async () => {
    await admin.close();
    await world.close();
  });
  const { url: sound } = await open();
  for (const path of ['/health', '/health/put']) {
    const failed = await fetch(url + path);
    expect([failed.status, await failed.json()]).toEqual([
      503,
      { status: 'failed', reason: 'lost' },
    ]);
    const answer = await fetch(sound + path);
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }]);
  }
});

test('a full node is alive, and says that it takes no PUT', async () => {
  const { node, world, url } = await open({}, { reserveBytes: 2 ** 50 });
  const put = new PutObjectCommand({ Bucket: 'bucket', Key: 'a', Body: 'hello' });
  await expect(world.client.send(put)).rejects.toMatchObject({ name: 'InsufficientStorage' });
  const health = await fetch(`${url}/health`);
  const reason = expect.stringContaining('the disk is full: PUT is refused');
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok', full: true, reason }]);
  const forPut = await fetch(`${url}/health/put`);
  expect(forPut.status).toBe(503);
  expect(await forPut.json()).toEqual({ status: 'full', full: true, reason });
  const exposition = await (await fetch(`${url}/metrics`)).text();
  expect(metric(exposition, 'lodestore_node_full').get('')).toBe(1);
  expect((await node.figures()).space.isFull).toBe(true);
});

test('metrics count what happened', async () => {
  const { world, url } = await open({ metrics: () => 'further 1\n' });
  const put = { Bucket: 'bucket', Key: 'a"b', Body: 'hello' };
  await world.client.send(new PutObjectCommand(put));
  await expect(world.client.send(new PutObjectCommand({ ...put, Bucket: 'none' }))).rejects.toThrow(
    /./,
  );
  const answer = await fetch(`${url}/metrics`);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const exposition = await answer.text();
  expect(metric(exposition, 'lodestore_node_objects').get('')).toBe(1);
  expect(metric(exposition, 'lodestore_node_full').get('')).toBe(0);
  expect([...metric(exposition, 'lodestore_node_s3_requests_total')]).toEqual([
    ['{operation="PutObject",status="200"}', 1],
    ['{operation="PutObject",status="404"}', 1],
  ]);
  const durations = metric(exposition, 'lodestore_node_s3_request_duration_seconds_bucket');
  expect(durations.get('{operation="PutObject",le="+Inf"}')).toBe(2);
  expect(metric(exposition, 'lodestore_node_volume_live_bytes').size).toBeGreaterThan(0);
  expect(metric(exposition, 'further').get('')).toBe(1);
  // Each metric is declared once, before its samples.
  const announced = [...exposition.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  expect(new Set(announced).size).toBe(announced.length);
});

test('serves health, status, the files of the page, and nothing else', async () => {
  const { url } = await open({ page: readPageFiles() });
  const status = async (path: string, init: RequestInit = {}): Promise<number> => {
    const answer = await fetch(url + path, init);
    await answer.arrayBuffer();
    return answer.status;
  };
  expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: 'ok' });
  const page = await (await fetch(url)).text();
  for (const [, path] of page.matchAll(/(?:src|href)="(\/[^"]*)"/g)) {
    expect(await status(path!), path).toBe(200);
  }
  expect(page).not.toMatch(/https?:/);
  expect(await status('/uplot.js')).toBe(200);
  expect(await status('/../package.json')).toBe(404);
  expect(await status('/', { method: 'POST' })).toBe(405);
  const shown = (await (await fetch(`${url}/status.json`)).json()) as { samples: unknown[] };
  expect(shown.samples.length).toBeGreaterThan(0);
});

test("refuses host names other than the loopback's, so that no other site can read the page", async () => {
  const { url } = await open();
  const ask = async (host: string): Promise<number | undefined> => {
    const asked = request(`${url}/status.json`, { headers: { host } }).end();
    const [answer] = await once(asked, 'response');
    await text(answer);
    return (answer as { statusCode?: number }).statusCode;
  };
  expect(await ask('localhost:1')).toBe(200);
  expect(await ask('[::1]')).toBe(200);
  expect(await ask('attacker.example')).toBe(403);
  expect(await ask('127.0.0.1.attacker.example')).toBe(403);
});

test('a path that is no URL is not known', async () => {
  const { url } = await open();
  const asked = request(url, { path: '//' }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  expect(response.statusCode).toBe(404);
});

import { appendFile, open, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { StoreFullError, StorePoisonedError } from '../../src/index.ts';
import { parsePrometheus } from '../support/prometheus-text.ts';
import { get, put, startNode } from './support/node-in-process.ts';

async function readPages(url: string, query: string): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after: string | null = ''; after !== null;) {
    const response = await fetch(`${url}/?${query}&after=${after}`);
    const page = (await response.json()) as { objects: { name: string }[]; next: string | null };
    pages.push(page.objects.map(({ name }) => name));
    after = page.next;
  }
  return pages;
}

describe('the list', () => {
  test('gives every object once, page by page, and by prefix', async () => {
    const { url } = await startNode();
    const names = Array.from({ length: 25 }, (_, i) => `${i % 2 === 0 ? 'even' : 'odd'}/${i}`);
    await Promise.all(names.map((name) => put(url, name, name)));
    const pages = await readPages(url, 'limit=10');
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
    expect(pages.flat().sort()).toEqual(names.toSorted());
    const odd = await readPages(url, 'prefix=odd%2F&limit=5');
    expect(odd.flat().sort()).toEqual(names.filter((name) => name.startsWith('odd/')).sort());
  });

  test('looks at a bounded number of records for one page', async () => {
    const { url, metadata, objects } = await startNode();
    await put(url, 'x', 'abc');
    const [record] = metadata.values();
    const updates = Array.from({ length: 10_000 }, (_, key) => ({
      type: 'put' as const,
      key,
      ...record!,
    }));
    await metadata.insertBatch(updates);
    const page = objects.page({ prefix: 'absent', after: undefined, limit: 10 });
    expect(page).toEqual({ objects: [], next: 9_999n });
    expect(objects.page({ prefix: 'absent', after: page.next, limit: 10 }).next).toBeUndefined();
  });

  test('describes objects', async () => {
    const { url } = await startNode();
    await put(url, 'x', 'abc');
    const list = await (await fetch(url)).json();
    expect(list).toMatchObject({
      objects: [{ name: 'x', lengthBytes: 3, contentType: 'text/plain;charset=UTF-8' }],
      next: null,
    });
  });

  test.each(['limit=0', 'limit=1001', 'limit=x', 'after=zz'])('refuses %s', async (query) => {
    const { url } = await startNode();
    expect((await fetch(`${url}/?${query}`)).status).toBe(400);
  });
});

test('/stats and /metrics count', async () => {
  const { url } = await startNode();
  await put(url, 'a', 'abc');
  await put(url, 'b', 'defg');
  await get(url, 'a');
  await get(url, 'missing');
  const stats = await (await fetch(`${url}/stats`)).json();
  expect(stats).toMatchObject({
    objects: 2,
    requests: { inFlight: 1, receivedBytes: 7, sentBytes: 3 },
    volumes: { created: 1, appends: 2, appendedBytes: 7 },
    metadata: { state: 'open', records: 2, lastSequence: '2' },
    recovery: { records: 0 },
  });
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toContain('version=0.0.4');
  const families = parsePrometheus(await response.text());
  const valueOf = (name: string, labels: Record<string, string> = {}) =>
    families.get(name.replace(/_count$/, ''))!.samples.find((sample) => {
      const isSame = Object.entries(labels).every(([key, label]) => sample.labels[key] === label);
      return sample.name === name && isSame;
    })?.value;
  expect(valueOf('storage_node_objects')).toBe(2);
  expect(valueOf('storage_node_sent_bytes_total')).toBe(3);
  expect(valueOf('storage_node_volume_appends_total')).toBe(2);
  expect(valueOf('storage_node_requests_total', { method: 'PUT', status: '201' })).toBe(2);
  expect(valueOf('storage_node_requests_total', { method: 'GET', status: '404' })).toBe(1);
  expect(valueOf('storage_node_request_duration_seconds_count', { method: 'PUT' })).toBe(2);
  expect(valueOf('lodestore_records')).toBe(2);
  expect(valueOf('lodestore_batch_seconds_count')).toBe(2);
  // Read again, not added up.
  const again = parsePrometheus(await (await fetch(`${url}/metrics`)).text());
  expect(again.get('storage_node_volume_appends_total')!.samples[0]!.value).toBe(2);
});

test("every metric that the node's dashboard asks for is there", async () => {
  const { url } = await startNode();
  await put(url, 'a', 'abc');
  await get(url, 'a');
  const families = parsePrometheus(await (await fetch(`${url}/metrics`)).text());
  const printed = new Set(
    [...families.values()].flatMap(({ samples }) => samples.map((s) => s.name)),
  );
  for (const name of families.keys()) printed.add(name);
  const path = new URL('../../examples/storage-node/grafana-dashboard.json', import.meta.url);
  const dashboard = JSON.parse(await readFile(path, 'utf8')) as {
    panels: { title: string; type: string; targets?: { expr: string }[] }[];
    templating: { list: { query: string }[] };
  };
  const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const variables = dashboard.templating.list.map(({ query }) => query);
  const asked = [
    ...queries,
    ...variables.filter((query) => query.includes('label_values')),
  ].flatMap((query) => query.match(/\bstorage_node_\w+/g) ?? []);
  expect(new Set(asked).size).toBeGreaterThan(7);
  for (const name of asked) expect(printed.has(name), name).toBe(true);
});

test('without prom-client the node says what to install', async () => {
  const missing = Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' });
  const { url } = await startNode({ load: () => Promise.reject(missing) });
  expect((await put(url, 'a', 'abc')).status).toBe(201);
  const response = await fetch(`${url}/metrics`);
  expect(response.status).toBe(501);
  const body = await response.json();
  expect(body).toMatchObject({
    error: {
      code: 'metrics-unavailable',
      message: expect.stringContaining('npm install prom-client'),
    },
  });
});

test.each([
  ['POST', '/objects/x', 405],
  ['PUT', '/', 405],
  ['GET', '/elsewhere', 404],
])('%s %s gives %i', async (method, path, status) => {
  const { url } = await startNode();
  const response = await fetch(url + path, { method });
  expect(response.status).toBe(status);
  expect(await response.json()).toHaveProperty('error.message');
});

describe('failures of the stores', () => {
  const eio = Object.assign(new Error('EIO'), { code: 'EIO' });
  const enospc = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });

  test.each([
    [new StoreFullError('full', { outcome: 'not-applied' }), 507, 'not-applied'],
    [new StorePoisonedError('sync failed', { outcome: 'unknown' }), 503, 'unknown'],
    [new StorePoisonedError('sync failed', { outcome: 'not-applied' }), 503, 'not-applied'],
  ])('a PUT passes on what the metadata store says: %s', async (error, status, outcome) => {
    const { url, metadata } = await startNode();
    vi.spyOn(metadata, 'insertBatch').mockRejectedValueOnce(error);
    const response = await put(url, 'x', 'abc');
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { outcome } });
    expect(await get(url, 'x')).toBe(404);
  });

  test.each([
    ['append', enospc, 507],
    ['append', eio, 500],
    ['sync', eio, 500],
  ] as const)('no record when the volume fails: %s, %s', async (call, error, status) => {
    const { url, volumes, metadata } = await startNode();
    vi.spyOn(volumes, call).mockRejectedValueOnce(error);
    const insertBatch = vi.spyOn(metadata, 'insertBatch');
    const response = await put(url, 'x', 'abc');
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { outcome: 'not-applied' } });
    expect(insertBatch).not.toHaveBeenCalled();
    expect((await put(url, 'x', 'abc')).status).toBe(201);
  });

  test('the record is written only after the sync of the bytes', async () => {
    const { url, volumes, metadata } = await startNode();
    const sync = vi.spyOn(volumes, 'sync');
    const insertBatch = vi.spyOn(metadata, 'insertBatch').mockImplementation(async () => {
      await sync.mock.results[0]?.value;
      expect(sync.mock.settledResults[0]?.type).toBe('fulfilled');
      return { sequence: 1n };
    });
    expect((await put(url, 'x', 'abc')).status).toBe(201);
    expect(insertBatch).toHaveBeenCalledOnce();
    expect(sync.mock.invocationCallOrder[0]).toBeLessThan(
      insertBatch.mock.invocationCallOrder[0] ?? 0,
    );
  });
});

describe('damage', () => {
  const volumeOf = (directory: string) => join(directory, 'volumes', 'volume-00000001');

  async function flipBit(path: string, offset: number): Promise<void> {
    const file = await open(path, 'r+');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
    await file.write(Buffer.of((buffer[0] ?? 0) ^ 1), 0, 1, offset);
    await file.close();
  }

  test('of a small object is a status', async () => {
    const { url, directory, said } = await startNode();
    await put(url, 'x', 'abc');
    await flipBit(volumeOf(directory), 1);
    expect(await get(url, 'x')).toBe(500);
    expect(said.join()).toContain('checksum mismatch');
  });

  test('of a large object cuts the connection before the last piece', async () => {
    const { url, directory, said } = await startNode();
    await put(url, 'x', 'a'.repeat(1_000_000));
    await flipBit(volumeOf(directory), 10);
    const response = await fetch(`${url}/objects/x`);
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow('terminated');
    expect(said.join()).toContain('checksum mismatch');
  });

  test('a volume that is too short is damage, one that is too long is not', async () => {
    const { url, directory } = await startNode();
    await put(url, 'x', 'abc');
    await appendFile(volumeOf(directory), 'dead bytes');
    expect(await get(url, 'x')).toBe('abc');
    await truncate(volumeOf(directory), 2);
    expect(await get(url, 'x')).toBe(500);
  });
});

import { rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { NodeChild } from './support/node-child.ts';
import { get, put } from './support/node-in-process.ts';

test('kill -9: what was acknowledged is there after the restart, the rest whole or not at all', async () => {
  const directory = await temporaryDirectory();
  const node = new NodeChild(directory);
  const url = await node.ready();
  const acknowledged = new Set<string>();
  const text = (name: string) => name.repeat(500);
  let killed: Promise<unknown> | undefined;
  const storeOn = async (lane: number) => {
    for (let i = 0; killed === undefined; i++) {
      const name = `lane-${lane}-${i}`;
      const answer = await put(url, name, text(name)).catch(() => undefined);
      if (answer?.status === 201) acknowledged.add(name);
      if (acknowledged.size >= 20) killed ??= node.end('SIGKILL');
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, i) => storeOn(i)));
  await killed;

  const again = new NodeChild(directory);
  const newUrl = await again.ready();
  const { objects } = (await (await fetch(newUrl)).json()) as { objects: { name: string }[] };
  const listed = new Set(objects.map(({ name }) => name));
  for (const name of acknowledged) expect(listed).toContain(name);
  for (const name of listed) expect(await get(newUrl, name)).toBe(text(name));
  expect((await put(newUrl, 'after', 'the kill')).status).toBe(201);
});

test('SIGTERM: requests under way are finished, then the exit code is 0', async () => {
  const node = new NodeChild(await temporaryDirectory());
  const url = await node.ready();
  const slow = request(`${url}/objects/slow`, {
    method: 'PUT',
    headers: { expect: '100-continue' },
  });
  slow.flushHeaders();
  await once(slow, 'continue');
  const ended = node.end('SIGTERM');
  while (!node.said.includes('stopping')) await once(node.child.stderr!, 'data');
  slow.end('still stored');
  const [response] = await once(slow, 'response');
  expect(response.statusCode).toBe(201);
  response.resume();
  expect(await ended).toBe(0);
});

test('a poisoned store: outcome unknown, exit code 75, and a restart serves again', async () => {
  const directory = await temporaryDirectory();
  const failing = join(directory, 'failing');
  const node = new NodeChild(join(directory, 'node'), failing);
  const url = await node.ready();
  expect((await put(url, 'before', 'kept')).status).toBe(201);
  await writeFile(failing, 'EIO');
  const response = await put(url, 'x', 'abc');
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({
    error: { code: 'unavailable', outcome: 'unknown' },
  });
  await node.exited;
  expect(node.child.exitCode).toBe(75);
  await rm(failing);
  const newUrl = await new NodeChild(join(directory, 'node')).ready();
  expect(await get(newUrl, 'before')).toBe('kept');
  expect((await put(newUrl, 'x', 'abc')).ok).toBe(true);
});

test('a full disk: 507 and not applied, and writes go on when there is room', async () => {
  const directory = await temporaryDirectory();
  const failing = join(directory, 'failing');
  const url = await new NodeChild(join(directory, 'node'), failing).ready();
  await put(url, 'x', 'former');
  await writeFile(failing, 'ENOSPC');
  const response = await put(url, 'x', 'new');
  expect(response.status).toBe(507);
  expect(await response.json()).toMatchObject({
    error: { code: 'no-space', outcome: 'not-applied' },
  });
  expect(await get(url, 'x')).toBe('former');
  await rm(failing);
  expect((await put(url, 'x', 'new')).status).toBe(200);
});

test('a second node in one directory is refused with the name of the first', async () => {
  const directory = await temporaryDirectory();
  const first = new NodeChild(directory);
  await first.ready();
  const second = new NodeChild(directory);
  await second.exited;
  expect(second.child.exitCode).toBe(1);
  expect(second.said).toContain(`process ${first.child.pid}`);
});

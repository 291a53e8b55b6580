import { expect, test } from 'vitest';
import { hashName } from '../../examples/storage-node/object-index.mjs';
import { get, put, startNode } from './support/node-in-process.ts';

const SAME = { hash: () => 0xffff_ffff_ffff_fffen };

test('the hash is the first 8 bytes of SHA-256', () => {
  expect(hashName('abc')).toBe(0xba7816bf8f01cfean);
});

test('names with one hash live side by side, round the end of the keys', async () => {
  const { url, metadata } = await startNode(SAME);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) expect((await put(url, name, `text ${name}`)).status).toBe(201);
  expect([...metadata.keys()]).toEqual([0n, 1n, 0xffff_ffff_ffff_fffen, 0xffff_ffff_ffff_ffffn]);
  for (const name of names) expect(await get(url, name)).toBe(`text ${name}`);
  expect(await get(url, 'e')).toBe(404);
});

test('removing a name hides none that came after it, and frees its key', async () => {
  const { url, metadata } = await startNode(SAME);
  for (const name of ['a', 'b', 'c']) await put(url, name, name);
  await fetch(`${url}/objects/a`, { method: 'DELETE' });
  expect(await get(url, 'b')).toBe('b');
  expect((await put(url, 'c', 'c again')).status).toBe(200);
  expect(metadata.size).toBe(2);
  expect((await put(url, 'd', 'd')).status).toBe(201);
  expect(await Promise.all(['a', 'b', 'c', 'd'].map((name) => get(url, name)))).toEqual([
    404,
    'b',
    'c again',
    'd',
  ]);
});

test('new names with one hash that are stored at the same time take different keys', async () => {
  const { url, objects } = await startNode(SAME);
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const answers = await Promise.all(names.map((name) => put(url, name, name)));
  expect(answers.map(({ status }) => status)).toEqual(names.map(() => 201));
  for (const name of names) expect(await get(url, name)).toBe(name);
  expect(objects.size).toBe(names.length);
});

test('one name that is stored twice at the same time has one record', async () => {
  const { url, objects } = await startNode(SAME);
  await Promise.all([put(url, 'a', 'one'), put(url, 'a', 'two')]);
  expect(objects.size).toBe(1);
  expect(['one', 'two']).toContain(await get(url, 'a'));
});

test('a name for which no key is left is refused, and nothing is overwritten', async () => {
  const { url } = await startNode(SAME);
  for (let i = 0; i < 8; i++) expect((await put(url, `n${i}`, `text ${i}`)).status).toBe(201);
  const refused = await put(url, 'n8', 'one too many');
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({ error: { code: 'hash-collision' } });
  for (let i = 0; i < 8; i++) expect(await get(url, `n${i}`)).toBe(`text ${i}`);
});

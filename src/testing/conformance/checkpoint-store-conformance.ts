import assert from 'node:assert/strict';
import {
  CheckpointStoreError,
  type CheckpointSource,
  type CheckpointStore,
} from '../../replicated/checkpoint/checkpoint-store.ts';
import { settled, type CaseOf, type ConformanceCase } from './conformance-case.ts';
import { rejection } from './opened-log.ts';

/** A checkpoint store that a case runs on. */
export interface CheckpointStoreSubject {
  /** Opens a handle of one store. The store is empty when the case begins. */
  open(): Promise<CheckpointStore>;
}

const MIB = 1024 * 1024;

const CASES: readonly CaseOf<CheckpointStoreSubject>[] = [
  { name: 'an object of any length is read back unchanged', check: checkLengths },
  { name: 'reading a missing object rejects with not-found', check: checkMissing },
  { name: 'list returns the names with the prefix', check: checkList },
  { name: 'put replaces an object', check: checkReplace },
  { name: 'a source of the wrong length stores nothing', check: checkWrongLength },
  { name: 'a source that fails stores nothing', check: checkFailingSource },
  { name: 'delete removes an object and can be repeated', check: checkDelete },
  { name: 'an invalid name is refused', check: checkNames },
  { name: 'an aborted call rejects with the reason', check: checkAbort },
];

/** The conformance suite for checkpoint stores. Used like `sharedLogConformance`. */
export function checkpointStoreConformance(
  makeSubject: () => CheckpointStoreSubject | Promise<CheckpointStoreSubject>,
): ConformanceCase[] {
  return CASES.map(({ name, check }) => ({
    name,
    run: async () => {
      const made = await makeSubject();
      const opened: CheckpointStore[] = [];
      const open = async (): Promise<CheckpointStore> => {
        const store = await made.open();
        opened.push(store);
        return store;
      };
      try {
        await check({ open });
      } finally {
        for (const store of opened) await store.close();
      }
    },
  }));
}

function contentOf(lengthBytes: number): Buffer {
  const content = Buffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) content[i] = (i * 31 + (i >> 8)) & 0xff;
  return content;
}

/** The content in pieces of uneven lengths. */
function sourceOf(content: Uint8Array, sizeBytes: number = content.length): CheckpointSource {
  return {
    sizeBytes,
    async *read() {
      await Promise.resolve();
      for (let from = 0, step = 1; from < content.length; from += step - 1) {
        step = Math.min(step * 3, 300_000) + 1;
        yield content.subarray(from, from + step - 1);
      }
    },
  };
}

async function contentIn(store: CheckpointStore, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const reading = (async () => {
    for await (const piece of store.get(name)) pieces.push(piece);
  })();
  await settled(reading, `get ${name}`);
  return Buffer.concat(pieces);
}

async function put(store: CheckpointStore, name: string, content: Uint8Array): Promise<void> {
  await settled(store.put(name, sourceOf(content)), `put ${name}`);
}

async function namesIn(store: CheckpointStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list(prefix)) names.push(name);
  return names.sort();
}

async function mustMiss(store: CheckpointStore, name: string): Promise<void> {
  const error = await rejection(contentIn(store, name), `get ${name}`);
  assert.ok(error instanceof CheckpointStoreError, `it rejected with ${String(error)}`);
  assert.equal(error.reason, 'not-found');
}

async function checkLengths(subject: CheckpointStoreSubject): Promise<void> {
  const [store, other] = [await subject.open(), await subject.open()];
  for (const length of [0, 1, 4096, 65_537, 9 * MIB + 5]) {
    const name = `lengths/of-${length}.bin`;
    await put(store, name, contentOf(length));
    const isSame = (await contentIn(other, name)).equals(contentOf(length));
    assert.ok(isSame, `an object of ${length} bytes came back with other bytes`);
  }
}

async function checkMissing(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  await mustMiss(store, 'nothing/here');
  await put(store, 'nothing/there', contentOf(3));
  await mustMiss(store, 'nothing');
  assert.deepEqual(await namesIn(store, 'some'), []);
}

async function checkList(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  const names = ['a/1', 'a/2', 'a/b/3', 'ab', 'b/4'];
  for (const [i, name] of names.entries()) await put(store, name, contentOf(i));
  assert.deepEqual(await namesIn(store, ''), names);
  assert.deepEqual(await namesIn(store, 'a'), ['a/1', 'a/2', 'a/b/3', 'ab']);
  assert.deepEqual(await namesIn(store, 'a/'), ['a/1', 'a/2', 'a/b/3']);
  assert.deepEqual(await namesIn(store, 'a/b/3'), ['a/b/3']);
  for await (const { name, sizeBytes } of store.list('a/')) {
    assert.equal(sizeBytes, names.indexOf(name), `the size of ${name}`);
  }
}

async function checkReplace(subject: CheckpointStoreSubject): Promise<void> {
  const [store, other] = [await subject.open(), await subject.open()];
  await put(store, 'one', contentOf(100));
  await put(other, 'one', contentOf(70_000));
  assert.ok((await contentIn(store, 'one')).equals(contentOf(70_000)), 'the new object');
  await Promise.all([put(store, 'two', contentOf(5000)), put(other, 'two', contentOf(9000))]);
  const { length } = await contentIn(store, 'two');
  assert.ok(length === 5000 || length === 9000, 'one of two that were put at once, and whole');
}

async function checkWrongLength(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  await put(store, 'kept', contentOf(10));
  for (const sizeBytes of [99, 101]) {
    const wrong = sourceOf(contentOf(100), sizeBytes);
    await rejection(store.put('wrong', wrong), `put of 100 bytes that should be ${sizeBytes}`);
    await rejection(store.put('kept', wrong), `put of 100 bytes that should be ${sizeBytes}`);
  }
  assert.deepEqual(await namesIn(store, ''), ['kept']);
  assert.ok((await contentIn(store, 'kept')).equals(contentOf(10)), 'the old object stays');
}

async function checkFailingSource(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  const failure = new Error('the source failed');
  const source: CheckpointSource = {
    sizeBytes: 200_000,
    async *read() {
      yield await Promise.resolve(contentOf(100_000));
      throw failure;
    },
  };
  assert.equal(await rejection(store.put('half', source), 'put of a source that fails'), failure);
  assert.deepEqual(await namesIn(store, ''), []);
  await mustMiss(store, 'half');
}

async function checkDelete(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  await put(store, 'dir/one', contentOf(10));
  await put(store, 'dir/two', contentOf(20));
  await store.delete('dir/one');
  await store.delete('dir/one');
  await store.delete('never/was');
  await mustMiss(store, 'dir/one');
  assert.deepEqual(await namesIn(store, ''), ['dir/two']);
  await store.delete('dir/two');
  await put(store, 'dir', contentOf(30));
  assert.deepEqual(await namesIn(store, ''), ['dir']);
}

async function checkNames(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  const names = ['', '/a', 'a/', 'a//b', '../a', 'a/../b', '.a', 'a/.b', 'A', 'ä', 'a b'];
  for (const name of [...names, 'x'.repeat(201)]) {
    await rejection(store.put(name, sourceOf(contentOf(1))), `put ${JSON.stringify(name)}`);
    await rejection(contentIn(store, name), `get ${JSON.stringify(name)}`);
    await rejection(store.delete(name), `delete ${JSON.stringify(name)}`);
  }
  assert.deepEqual(await namesIn(store, ''), []);
  await put(store, 'x'.repeat(200), contentOf(1));
}

async function checkAbort(subject: CheckpointStoreSubject): Promise<void> {
  const store = await subject.open();
  const reason = new Error('enough');
  const options = { signal: AbortSignal.abort(reason) };
  const putting = store.put('aborted', sourceOf(contentOf(10)), options);
  assert.equal(await rejection(putting, 'an aborted put'), reason);
  assert.deepEqual(await namesIn(store, ''), []);
  const ending = new AbortController();
  const source: CheckpointSource = {
    sizeBytes: 2 * MIB,
    async *read() {
      yield contentOf(MIB);
      ending.abort(reason);
      yield await Promise.resolve(contentOf(MIB));
    },
  };
  const begun = store.put('aborted', source, { signal: ending.signal });
  assert.equal(await rejection(begun, 'a put that is aborted on its way'), reason);
  assert.deepEqual(await namesIn(store, ''), []);
}

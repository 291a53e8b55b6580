import { expect, test } from 'vitest';
import { writeFully } from '../../src/fs/write.ts';
import {
  decodeManifestObject,
  encodeManifestObject,
  sha256Hex,
  type CheckpointManifest,
} from '../../src/replicated/checkpoint/checkpoint-manifest.ts';
import {
  Checkpoints,
  type WrittenCheckpoint,
} from '../../src/replicated/checkpoint/checkpoints.ts';
import { IDLE_MS, IdleOwners } from '../../src/replicated/checkpoint/object-owners.ts';
import { CrashFs, MemoryCheckpoints } from '../../src/testing/index.ts';

const { signal } = new AbortController();
const HOUR_MS = 3_600_000;
const PLACE = { logId: new Uint8Array(16), position: 7n, sequence: 6n, epoch: 1n, checksum: 5 };
const OTHER_LOG = { name: 'CheckpointStoreError', reason: 'other-log' };
const DAMAGED = { name: 'CheckpointStoreError', reason: 'damaged' };

let nonces = 0;

/** A node that writes checkpoints of one file. */
class Writer {
  readonly checkpoints: Checkpoints;
  readonly nodeId: Uint8Array;
  logId: Uint8Array = PLACE.logId;
  readonly #fs: CrashFs = new CrashFs();
  #writes = 0;

  constructor(store: MemoryCheckpoints, id: number, nowMs: () => number = () => 0) {
    this.checkpoints = new Checkpoints(store, this.#fs, nowMs);
    this.nodeId = new Uint8Array(16).fill(id);
  }

  async write(position: bigint, text: string): Promise<WrittenCheckpoint> {
    const directory = `/backup-${++this.#writes}`;
    await this.#fs.makeDirectory(directory);
    const file = await this.#fs.open(`${directory}/data`, 'wx');
    await writeFully(file, Buffer.from(text), 0);
    await file.close();
    const { nodeId, logId } = this;
    const writer = { nodeId, nonce: Uint8Array.of(0, 0, 0, ++nonces) };
    const place = { ...PLACE, logId, position };
    return this.checkpoints.write(directory, ['data'], place, writer, signal);
  }

  removeOld(): Promise<void> {
    return this.checkpoints.removeOld(this.nodeId, this.logId, signal);
  }

  /** The content of the newest checkpoint. */
  async read(): Promise<string> {
    const [newest] = await this.checkpoints.list(signal);
    const target = `/restored-${++this.#writes}`;
    await this.#fs.makeDirectory(target);
    const manifest = await this.checkpoints.manifest(newest!.name, signal);
    await this.checkpoints.download(manifest, target, signal);
    return Buffer.from(this.#fs.files().get(`${target}/data`)!).toString();
  }
}

/** The first bytes of the ids of nodes that have objects. */
function ownersIn(store: MemoryCheckpoints): number[] {
  const names = [...store.objects.keys()].filter((name) => name.startsWith('objects/'));
  return [...new Set(names.map((name) => Number(`0x${name.slice(8, 10)}`)))];
}

test('the objects of a node that is gone are removed by another node after a day', async () => {
  const store = new MemoryCheckpoints();
  let now = 0;
  const gone = new Writer(store, 1);
  const node = new Writer(store, 2, () => now);
  await gone.write(1n, 'of the node that is gone');
  await node.write(2n, 'two');
  await node.removeOld();
  now += 2 * IDLE_MS;
  // One of the two newest checkpoints is still of that node.
  await node.removeOld();
  expect(ownersIn(store)).toEqual([1, 2]);
  await node.write(3n, 'three');
  await node.removeOld();
  now += IDLE_MS - 1;
  await node.removeOld();
  expect(ownersIn(store)).toEqual([1, 2]);
  now += 1;
  await node.removeOld();
  expect(ownersIn(store)).toEqual([2]);
  expect(await node.read()).toBe('three');
});

test('a node that comes back after a day relies on no object that is being removed', async () => {
  const store = new MemoryCheckpoints();
  let now = 0;
  const node = new Writer(store, 2, () => now);
  await new Writer(store, 1).write(1n, 'the same');
  await node.write(2n, 'two');
  await node.write(3n, 'three');
  await node.removeOld();
  now += IDLE_MS - HOUR_MS;
  const back = new Writer(store, 1);
  await back.write(4n, 'first');
  expect(await back.write(5n, 'the same')).toMatchObject({ uploadedBytes: 8 });
  now += HOUR_MS;
  await node.removeOld();
  expect(await node.read()).toBe('the same');
  expect(await back.read()).toBe('the same');
});

test('owners are idle if they have not changed for a day', () => {
  let now = 0;
  const idle = new IdleOwners(() => now);
  const take = (names: readonly string[]): string[] => idle.take(new Map([['owner', names]]));
  expect(take(['a'])).toEqual([]);
  now += IDLE_MS;
  expect(take(['a', 'b'])).toEqual([]);
  now += IDLE_MS - 1;
  expect(take(['b', 'a'])).toEqual([]);
  // A checkpoint uses the owner meanwhile.
  expect(idle.take(new Map())).toEqual([]);
  now += 1;
  expect(take(['a', 'b'])).toEqual([]);
  now += IDLE_MS;
  expect(take(['b', 'a'])).toEqual(['b', 'a']);
});

test('what a checkpoint of the node has, or a failed one has uploaded, is not uploaded again', async () => {
  const store = new MemoryCheckpoints();
  const failing = store.connect();
  const node = new Writer(failing, 1);
  failing.put = async (name, source) => {
    if (name.startsWith('checkpoints/')) throw new Error('the bucket is away');
    await store.put(name, source);
  };
  await expect(node.write(1n, 'content')).rejects.toThrow('the bucket is away');
  failing.put = (name, source) => store.put(name, source);
  expect(await node.write(1n, 'content')).toMatchObject({ uploadedBytes: 0 });
  expect(await new Writer(store, 1).write(2n, 'content')).toMatchObject({ uploadedBytes: 0 });
  expect(await new Writer(store, 2).write(3n, 'content')).toMatchObject({ uploadedBytes: 7 });
});

test('a checkpoint whose objects are removed during its upload is not listed', async () => {
  const store = new MemoryCheckpoints();
  const racing = store.connect();
  racing.list = async function* (prefix) {
    yield* store.list(prefix);
    // Another node removes them after this node has found them.
    for (const name of store.objects.keys()) {
      if (name.startsWith('objects/') && prefix.startsWith('objects/')) store.objects.delete(name);
    }
  };
  await new Writer(store, 1).write(1n, 'content');
  const writing = new Writer(racing, 1).write(2n, 'content');
  await expect(writing).rejects.toMatchObject({ reason: 'unavailable' });
  const listed = await new Writer(store, 2).checkpoints.list(signal);
  expect(listed.map(({ position }) => position)).toEqual([1n]);
});

test('checkpoints of another log are refused, and nothing of it is removed', async () => {
  const store = new MemoryCheckpoints();
  const [node, stranger] = [new Writer(store, 1), new Writer(store, 2)];
  stranger.logId = new Uint8Array(16).fill(7);
  for (const position of [7n, 8n, 9n]) await node.write(position, `at ${position}`);
  const before = [...store.objects.keys()];
  // With a higher position than all others, and with a lower one.
  for (const position of [10n, 1n]) {
    await expect(stranger.write(position, 'other')).rejects.toMatchObject(OTHER_LOG);
  }
  await expect(stranger.removeOld()).rejects.toMatchObject(OTHER_LOG);
  expect([...store.objects.keys()]).toEqual(before);
});

test.for([1n, 99n])('checkpoints of two logs, one at %d, are all kept', async (position) => {
  const [store, other] = [new MemoryCheckpoints(), new MemoryCheckpoints()];
  const [node, stranger] = [new Writer(store, 1), new Writer(other, 2)];
  stranger.logId = new Uint8Array(16).fill(7);
  for (const own of [7n, 8n, 9n]) await node.write(own, `at ${own}`);
  await stranger.write(position, 'other');
  for (const [name, bytes] of other.objects) store.objects.set(name, bytes);
  const before = [...store.objects.keys()];
  await expect(node.removeOld()).rejects.toMatchObject(OTHER_LOG);
  await expect(node.checkpoints.listOf(node.logId, signal)).rejects.toMatchObject(OTHER_LOG);
  expect([...store.objects.keys()]).toEqual(before);
});

test('a damaged manifest holds up nothing, and is removed behind two good ones', async () => {
  const store = new MemoryCheckpoints();
  const node = new Writer(store, 1);
  for (const position of [9n, 99n]) {
    const { name } = await node.write(position, `at ${position}`);
    store.objects.set(name, Buffer.from('damaged'));
  }
  const positions = async (): Promise<bigint[]> =>
    (await node.checkpoints.list(signal)).map(({ position }) => position);
  await node.write(10n, 'ten');
  await node.removeOld();
  expect(await positions()).toEqual([99n, 10n, 9n]);
  for (const position of [11n, 12n]) await node.write(position, `at ${position}`);
  const objects = store.objects.size;
  await node.removeOld();
  expect(await positions()).toEqual([99n, 12n, 11n]);
  // The objects of the damaged one may be in use.
  expect(store.objects.size).toBe(objects - 2);
  const good = await node.checkpoints.listOf(node.logId, signal);
  expect(good.map(({ position }) => position)).toEqual([12n, 11n]);
});

test('checkpoints in a newer format keep their objects', async () => {
  const store = new MemoryCheckpoints();
  const node = new Writer(store, 1);
  await node.write(6n, 'six');
  const bytes = Buffer.from('{"format":2}');
  store.objects.set(`checkpoints/${'7'.padStart(20, '0')}-${sha256Hex(bytes)}`, bytes);
  const before = [...store.objects.keys()];
  await expect(node.removeOld()).rejects.toThrow(/has format 2/);
  expect([...store.objects.keys()]).toEqual(before);
});

const FILE = {
  name: 'data',
  pieces: [{ object: `objects/0a-01/${'0'.repeat(64)}`, sizeBytes: 3 }],
};

test('a manifest is read back as it was written', () => {
  const manifest: CheckpointManifest = { place: PLACE, files: [FILE] };
  const { name, bytes } = encodeManifestObject(manifest);
  expect(decodeManifestObject(name, bytes)).toEqual(manifest);
  const elsewhere = name.replace('/0', '/1');
  expect(() => decodeManifestObject(elsewhere, bytes)).toThrow(expect.objectContaining(DAMAGED));
});

interface WrongManifest {
  readonly what: string;
  readonly files?: unknown;
  readonly place?: object;
}

const WRONG: readonly WrongManifest[] = [
  { what: 'a file outside of the directory', files: [{ ...FILE, name: '../data' }] },
  { what: 'a file in another directory', files: [{ ...FILE, name: 'a/data' }] },
  { what: 'a file with an absolute path', files: [{ ...FILE, name: '/data' }] },
  { what: 'a file with a backslash', files: [{ ...FILE, name: String.raw`..\data` }] },
  { what: 'a hidden file', files: [{ ...FILE, name: '.data' }] },
  { what: 'a file without a name', files: [{ pieces: [] }] },
  { what: 'two files of one name', files: [FILE, FILE] },
  { what: 'no file', files: [null] },
  { what: 'no files', files: null },
  { what: 'pieces that are none', files: [{ ...FILE, pieces: 'objects' }] },
  { what: 'no piece', files: [{ ...FILE, pieces: [null] }] },
  { what: 'an object elsewhere', files: [{ ...FILE, pieces: [{ object: '../a', sizeBytes: 1 }] }] },
  { what: 'a huge piece', files: [{ ...FILE, pieces: [{ ...FILE.pieces[0], sizeBytes: 1e12 }] }] },
  { what: 'a negative sequence', place: { sequence: -1n } },
  { what: 'a sequence over 64 bits', place: { sequence: 2n ** 64n } },
  { what: 'a checksum that is none', place: { checksum: 1.5 } },
  { what: 'another id of the log', place: { logId: new Uint8Array(15) } },
];

test.for(WRONG)('a manifest with $what is refused', ({ files = [FILE], place }) => {
  const manifest = { place: { ...PLACE, ...place }, files } as unknown as CheckpointManifest;
  const { name, bytes } = encodeManifestObject(manifest);
  expect(() => decodeManifestObject(name, bytes)).toThrow(expect.objectContaining(DAMAGED));
});

test('a manifest that is not an object in JSON is refused', () => {
  for (const text of ['', 'null', '7', '{"format":1}', '{"format":2}']) {
    const bytes = Buffer.from(text);
    const name = `checkpoints/${'7'.padStart(20, '0')}-${sha256Hex(bytes)}`;
    expect(() => decodeManifestObject(name, bytes)).toThrow(expect.objectContaining(DAMAGED));
  }
});

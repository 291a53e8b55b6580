import { afterEach, expect, test } from 'vitest';
import {
  decodeManifestObject,
  encodeManifestObject,
} from '../../src/replicated/checkpoint/checkpoint-manifest.ts';
import { CheckpointStoreError, type ReplicatedStore } from '../../src/replicated/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  repairReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';
import { writeFully } from '../../src/fs/write.ts';
import { deferred } from '../support/deferred.ts';

const opened: ReplicatedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 700;

async function openNode(
  log: SimulatedLog,
  fs: CrashFs,
  checkpoints?: MemoryCheckpoints,
): Promise<ReplicatedStore> {
  const options = { log: log.connect(), pollMs: 5, lostAfterMs: 50, checkpoints };
  const store = await openReplicaOn(fs, '/node', options, { seed: ++seed });
  opened.push(store);
  return store;
}

/** A node that has three batches, of a log that now begins at 7. The first checkpoint is at 2. */
async function trimPast(): Promise<{
  readonly log: SimulatedLog;
  readonly behind: CrashFs;
  readonly first: MemoryCheckpoints;
  readonly checkpoints: MemoryCheckpoints;
}> {
  const [log, behind] = [new SimulatedLog(), new CrashFs()];
  const [first, checkpoints] = [new MemoryCheckpoints(), new MemoryCheckpoints()];
  const primary = await openNode(log, new CrashFs(), checkpoints.connect());
  const node = await openNode(log, behind);
  await primary.promote();
  await primary.put(1n, 1n);
  await primary.checkpoint();
  first.objects = new Map(checkpoints.objects);
  for (const key of [2n, 3n]) await primary.put(key, 1n);
  await node.reached(4n);
  await node.close();
  for (const key of [4n, 5n, 6n]) {
    await primary.put(key, 1n);
    await primary.checkpoint();
  }
  await primary.close();
  expect(log.bounds.first).toBe(7n);
  return { log, behind, first, checkpoints };
}

/** The generations that have files. */
function generationsOf(fs: CrashFs): string[] {
  const names = [...fs.files().keys()].map((path) => /generation-\d+/.exec(path)?.[0] ?? '');
  return [...new Set(names)].filter((name) => name !== '').sort();
}

test('a checkpoint before the start of the log is not restored, and the node keeps its batches', async () => {
  const { log, behind, first } = await trimPast();
  let downloads = 0;
  const counted = first.connect();
  counted.get = (name) => {
    if (name.startsWith('objects/')) downloads++;
    return first.get(name);
  };
  await expect(openNode(log, behind, counted)).rejects.toThrow(/the newest checkpoint is at 2/);
  expect([downloads, generationsOf(behind)]).toEqual([0, ['generation-1']]);
  const [other, checkpoints] = [new SimulatedLog(), new MemoryCheckpoints()];
  const options = { log: other.connect(), checkpoints, lostAfterMs: 50 };
  const report = await repairReplicaOn(behind, '/node', options, { seed: ++seed });
  expect(report).toMatchObject({ position: 1n, sequence: 3n });
});

test('downloads that fail, and crashes during a download, leave no generation behind', async () => {
  const { log, behind, checkpoints } = await trimPast();
  for (const path of ['/node/generation-8', '/node/generation-8/incoming']) {
    await behind.makeDirectory(path);
  }
  await (await behind.open('/node/generation-8/incoming/part', 'wx')).close();
  const failing = checkpoints.connect();
  const seen: string[][] = [];
  failing.get = async function* (name) {
    if (name.startsWith('objects/') && seen.length < 3) {
      seen.push(generationsOf(behind));
      throw new CheckpointStoreError('unavailable', 'the bucket is away');
    }
    yield* checkpoints.get(name);
  };
  const store = await openNode(log, behind, failing);
  await store.reached(7n);
  expect([...store.keys()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
  expect(seen).toEqual(Array.from({ length: 3 }, () => ['generation-1', 'generation-2']));
  expect(generationsOf(behind)).toEqual(['generation-2']);
});

test('damaged checkpoints are tried once each, and leave no generation behind', async () => {
  const { log, behind, checkpoints } = await trimPast();
  for (const [name, bytes] of checkpoints.objects) {
    const damaged = bytes.map((one) => one ^ 1);
    if (name.startsWith('objects/')) checkpoints.objects.set(name, damaged);
  }
  const opening = openNode(log, behind, checkpoints);
  await expect(opening).rejects.toMatchObject({ name: 'CheckpointStoreError', reason: 'damaged' });
  expect(generationsOf(behind)).toEqual(['generation-1']);
});

test('a checkpoint with another sequence than its backup is damaged: the other one is restored', async () => {
  const { log, behind, checkpoints } = await trimPast();
  const { objects } = checkpoints;
  const name = [...objects.keys()].filter((one) => one.startsWith('checkpoints/')).sort()[1]!;
  const manifest = decodeManifestObject(name, objects.get(name)!);
  const place = { ...manifest.place, sequence: manifest.place.sequence + 1n };
  const forged = encodeManifestObject({ ...manifest, place });
  objects.delete(name);
  objects.set(forged.name, forged.bytes);
  const store = await openNode(log, behind, checkpoints);
  await store.reached(7n);
  expect([...store.keys()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
});

test('a checkpoint that is replaced during its download is not missed', async () => {
  const { log, behind, checkpoints } = await trimPast();
  const racing = checkpoints.connect();
  const all = new Map(checkpoints.objects);
  const removed = [...all.keys()].filter((name) => name.startsWith('checkpoints/')).sort();
  // Only the older one is there at first; then it goes, and the newer one comes.
  checkpoints.objects.delete(removed[1]!);
  racing.get = async function* (name) {
    if (name === removed[0]) {
      checkpoints.objects.delete(name);
      checkpoints.objects.set(removed[1]!, all.get(removed[1]!)!);
    }
    yield* checkpoints.get(name);
  };
  const store = await openNode(log, behind, racing);
  await store.reached(7n);
  expect(store.has(6n)).toBe(true);
});

test('a directory that is being filled is refused to all others', async () => {
  const { log, checkpoints } = await trimPast();
  const fs = new CrashFs();
  const held = checkpoints.connect();
  const [began, goOn] = [deferred<void>(), deferred<void>()];
  held.get = async function* (name) {
    began.resolve();
    await goOn.promise;
    yield* checkpoints.get(name);
  };
  const opening = openNode(log, fs, held);
  await began.promise;
  const refused = { code: 'LODESTORE_LOCKED', owner: { pid: 1 } };
  await expect(openNode(log, fs, checkpoints)).rejects.toMatchObject(refused);
  const options = { log: log.connect(), checkpoints: checkpoints.connect() };
  const repairing = repairReplicaOn(fs, '/node', options, { seed: ++seed });
  await expect(repairing).rejects.toMatchObject(refused);
  goOn.resolve();
  const store = await opening;
  await store.reached(7n);
  await store.close();
  const again = await openNode(log, fs, checkpoints);
  expect([...again.keys()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
});

test('a directory that cannot be opened is released', async () => {
  const { log, checkpoints } = await trimPast();
  const failing = checkpoints.connect();
  failing.list = () => {
    throw new Error('the bucket is away');
  };
  const fs = new CrashFs();
  await expect(openNode(log, fs, failing)).rejects.toThrow('the bucket is away');
  expect((await openNode(log, fs, checkpoints)).role).toBe('replica');
});

test('checkpoints of another log are neither restored nor written beside', async () => {
  const { checkpoints } = await trimPast();
  const [other, fs] = [new SimulatedLog(), new CrashFs()];
  const first = await openNode(other, fs);
  await first.promote();
  await first.put(1n, 1n);
  await first.close();
  const refused = { name: 'CheckpointStoreError', reason: 'other-log' };
  await expect(openNode(other, new CrashFs(), checkpoints)).rejects.toMatchObject(refused);
  const before = [...checkpoints.objects.keys()];
  const primary = await openNode(other, fs, checkpoints.connect());
  await primary.promote();
  await expect(primary.checkpoint()).rejects.toMatchObject(refused);
  await expect(primary.trim()).rejects.toMatchObject(refused);
  expect([...checkpoints.objects.keys()]).toEqual(before);
  expect(other.bounds.first).toBe(1n);
});

const POSITION = '/node/generation-1/position';

test('a damaged store is kept if neither a checkpoint nor the log can replace it', async () => {
  const { log, behind } = await trimPast();
  behind.damage(POSITION, 40, Uint8Array.of(0xff));
  const damaged = { name: 'CorruptionError', path: POSITION };
  await expect(openNode(log, behind)).rejects.toMatchObject(damaged);
  await expect(openNode(log, behind)).rejects.toThrow(/can replace \/node: give the checkpoints/);
  await expect(openNode(log, behind, new MemoryCheckpoints())).rejects.toMatchObject(damaged);
  await expect(openNode(new SimulatedLog(), behind)).rejects.toMatchObject(damaged);
  expect(generationsOf(behind)).toEqual(['generation-1']);
});

test('a damaged store is replaced by a log that was never trimmed, when it can be reached', async () => {
  const [log, fs] = [new SimulatedLog(), new CrashFs()];
  const first = await openNode(log, fs);
  await first.promote();
  for (const key of [1n, 2n]) await first.put(key, 1n);
  await first.close();
  fs.damage(POSITION, 40, Uint8Array.of(0xff));
  const connection = log.connect();
  connection.cut();
  const asked = deferred<void>();
  const bounds = connection.bounds.bind(connection);
  connection.bounds = (call) => {
    asked.resolve();
    return bounds(call);
  };
  const options = { log: connection, lostAfterMs: 50 };
  const opening = openReplicaOn(fs, '/node', options, { seed: ++seed });
  await asked.promise;
  connection.heal();
  const store = await opening;
  opened.push(store);
  await store.reached(3n);
  expect([...store.keys()]).toEqual([1n, 2n]);
  expect(generationsOf(fs)).toEqual(['generation-2']);
});

test('a checkpoint whose files end elsewhere is damaged, and the one before it is restored', async () => {
  const { log, behind, checkpoints } = await trimPast();
  const { objects } = checkpoints;
  const manifests = [...objects.keys()].filter((name) => name.startsWith('checkpoints/'));
  const newest = manifests.sort().at(-1)!;
  const { place, files } = decodeManifestObject(newest, objects.get(newest)!);
  const wrong = encodeManifestObject({ place: { ...place, sequence: place.sequence + 1n }, files });
  objects.delete(newest);
  objects.set(wrong.name, wrong.bytes);
  const store = await openNode(log, behind, checkpoints);
  await store.reached(7n);
  expect([...store.keys()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
});

test('a repair does not take nothing for the batches of a damaged directory', async () => {
  const { behind } = await trimPast();
  const position = await behind.open('/node/generation-1/position', 'r+');
  await writeFully(position, Uint8Array.of(0xff), 20);
  await position.close();
  const another = { log: new SimulatedLog().connect(), checkpoints: new MemoryCheckpoints() };
  const repairing = repairReplicaOn(behind, '/node', another, { seed: ++seed });
  await expect(repairing).rejects.toMatchObject({ name: 'CorruptionError' });
  expect(generationsOf(behind)).toEqual(['generation-1']);
});

test('a download that newer checkpoints overtake fetches no piece twice', async () => {
  const [log, checkpoints, fs] = [new SimulatedLog(), new MemoryCheckpoints(), new CrashFs()];
  const primary = await openNode(log, new CrashFs(), checkpoints.connect());
  await primary.promote();
  await primary.put(1n, 1n);
  await primary.merge();
  await primary.checkpoint();
  await primary.put(2n, 1n);
  await primary.checkpoint();
  const { objects } = checkpoints;
  const [older, newer] = [...objects.keys()]
    .filter((name) => name.startsWith('checkpoints/'))
    .sort();
  const piecesOf = (name: string): string[] =>
    decodeManifestObject(name, objects.get(name)!).files.flatMap(({ pieces }) =>
      pieces.map(({ object }) => object),
    );
  const shared = piecesOf(older!).filter((object) => piecesOf(newer!).includes(object));
  // The files that both have come first.
  const { place, files } = decodeManifestObject(older!, objects.get(older!)!);
  const rank = (file: (typeof files)[number]): number =>
    file.pieces.every(({ object }) => shared.includes(object)) ? 0 : 1;
  const sorted = encodeManifestObject({
    place,
    files: files.toSorted((a, b) => rank(a) - rank(b)),
  });
  const late = objects.get(newer!)!;
  objects.delete(older!);
  objects.delete(newer!);
  objects.set(sorted.name, sorted.bytes);
  const fetched: string[] = [];
  const racing = checkpoints.connect();
  racing.get = async function* (name) {
    if (name.startsWith('objects/') && !shared.includes(name) && !objects.has(newer!)) {
      objects.delete(sorted.name);
      objects.set(newer!, late);
      throw new CheckpointStoreError('not-found', `there is no ${name}`);
    }
    fetched.push(name);
    yield* checkpoints.get(name);
  };
  const store = await openNode(log, fs, racing);
  await store.reached(primary.position);
  expect([...store.keys()]).toEqual([1n, 2n]);
  expect(shared.length).toBeGreaterThan(0);
  expect(fetched.filter((name) => shared.includes(name)).sort()).toEqual(
    [...new Set(shared)].sort(),
  );
  expect(generationsOf(fs)).toHaveLength(1);
});

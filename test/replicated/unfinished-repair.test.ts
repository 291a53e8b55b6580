import { afterEach, expect, test } from 'vitest';
import {
  CheckpointStoreError,
  LogUnavailableError,
  type Elector,
  type RepairReport,
  type ReplicatedStore,
  type SharedLog,
} from '../../src/replicated/index.ts';
import { examineNode } from '../../src/replicated/node/node-examination.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  repairReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';

const opened: ReplicatedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 500;

interface NodeParts {
  readonly fs?: CrashFs;
  readonly checkpoints?: MemoryCheckpoints;
  readonly elector?: Elector;
}

async function openNode(
  log: SimulatedLog,
  { fs = new CrashFs(), checkpoints, elector }: NodeParts = {},
): Promise<ReplicatedStore> {
  const options = { log: log.connect(), pollMs: 5, lostAfterMs: 50, checkpoints, elector };
  const store = await openReplicaOn(fs, '/node', options, { seed: ++seed });
  opened.push(store);
  return store;
}

function repair(
  log: SimulatedLog,
  fs: CrashFs,
  checkpoints: MemoryCheckpoints,
): Promise<RepairReport> {
  const options = { log: log.connect(), checkpoints, lostAfterMs: 50 };
  return repairReplicaOn(fs, '/node', options, { seed: ++seed });
}

/** A log that lost two of three batches. The repair has appended, and stored no checkpoint. */
async function breakOffRepair() {
  const log = new SimulatedLog();
  const [fs, checkpoints] = [new CrashFs(), new MemoryCheckpoints()];
  const store = await openNode(log, { fs });
  await store.promote();
  for (const key of [1n, 2n, 3n]) await store.put(key, 1n);
  await store.close();
  log.lose(2n);
  const unwritable = checkpoints.connect();
  unwritable.put = () => Promise.reject(new CheckpointStoreError('unavailable', 'no bucket'));
  await expect(repair(log, fs, unwritable)).rejects.toThrow('no bucket');
  expect(log.bounds.last).toBe(3n);
  return { log, fs, checkpoints };
}

test('a node behind a repair takes over when it has the batches that the repair restores', async () => {
  const { log, fs, checkpoints } = await breakOffRepair();
  const behind = await openNode(log, { checkpoints });
  const failures = (): number => behind.stats().replica.checkpoints.failed;
  await expect.poll(failures).toBeGreaterThan(0);
  const promoted = behind.promote();
  const before = failures();
  await expect.poll(failures).toBeGreaterThan(before + 1);
  expect([behind.role, log.bounds.last]).toEqual(['candidate', 3n]);
  expect(await repair(log, fs, checkpoints)).toMatchObject({ position: 4n, sequence: 3n });
  await promoted;
  await behind.put(4n, 1n);
  expect([...behind.keys()]).toEqual([1n, 2n, 3n, 4n]);
});

test('an elected node that is behind a repair resigns until it is rebuilt', async () => {
  const { log, fs, checkpoints } = await breakOffRepair();
  const terms: AbortSignal[] = [];
  const elector: Elector = {
    campaign: (_, { signal }) => {
      terms.push(signal);
      return Promise.resolve({ lost: new Promise<void>(() => undefined) });
    },
  };
  const behind = await openNode(log, { checkpoints, elector });
  await expect.poll(() => behind.stats().replica.checkpoints.failed).toBeGreaterThan(2);
  expect([behind.role, log.bounds.last]).toEqual(['replica', 3n]);
  expect(terms.filter(({ aborted }) => !aborted)).toEqual([]);
  await repair(log, fs, checkpoints);
  await expect.poll(() => behind.role, { timeout: 4_000 }).toBe('primary');
  expect([...behind.keys()]).toEqual([1n, 2n, 3n]);
});

/** A connection whose first append takes effect. Then the caller is interrupted. */
function interruptedAppend(log: SimulatedLog, interrupting: AbortController): SharedLog {
  const connection = log.connect();
  return {
    maxEntryBytes: connection.maxEntryBytes,
    append: async (...given) => {
      await connection.append(...given);
      interrupting.abort(new Error('interrupted'));
      throw new LogUnavailableError('there is no answer');
    },
    read: (...given) => connection.read(...given),
    bounds: (...given) => connection.bounds(...given),
    trim: (...given) => connection.trim(...given),
    close: () => connection.close(),
  };
}

test.for([
  { where: 'before the saved place', kept: 2n },
  { where: 'at the saved place', kept: 3n },
])('a repair that appended $where and was interrupted is run again', async ({ kept }) => {
  const log = new SimulatedLog();
  const [fs, checkpoints] = [new CrashFs(), new MemoryCheckpoints()];
  const store = await openNode(log, { fs });
  await store.promote();
  for (const key of [1n, 2n, 3n]) await store.put(key, 1n);
  // Saves the place 4.
  await store.merge();
  await store.close();
  log.lose(kept);
  const interrupting = new AbortController();
  const { signal } = interrupting;
  const options = { log: interruptedAppend(log, interrupting), checkpoints, signal };
  const interrupted = repairReplicaOn(fs, '/node', options, { seed: ++seed });
  await expect(interrupted).rejects.toThrow('interrupted');
  const { last } = log.bounds;
  expect(last).toBe(kept + 1n);
  const examined = { signal: new AbortController().signal, patienceMs: 50 };
  const standing = await examineNode(fs, '/node', log.connect(), examined);
  expect(standing).toMatchObject({ kind: 'ahead', sequence: 3n });
  expect(await repair(log, fs, checkpoints)).toMatchObject({ position: last, sequence: 3n });
  const again = await openNode(log, { fs, checkpoints });
  const empty = await openNode(log, { checkpoints });
  await again.promote();
  await again.put(4n, 1n);
  await empty.reached(again.position);
  for (const node of [again, empty]) expect([...node.keys()]).toEqual([1n, 2n, 3n, 4n]);
});

test('a repair that began another log and was interrupted is run again', async () => {
  const [log, other] = [new SimulatedLog(), new SimulatedLog()];
  const [fs, checkpoints] = [new CrashFs(), new MemoryCheckpoints()];
  const store = await openNode(log, { fs });
  await store.promote();
  await store.put(1n, 1n);
  await store.merge();
  await store.close();
  const interrupting = new AbortController();
  const { signal } = interrupting;
  const options = { log: interruptedAppend(other, interrupting), checkpoints, signal };
  const interrupted = repairReplicaOn(fs, '/node', options, { seed: ++seed });
  await expect(interrupted).rejects.toThrow('interrupted');
  expect(await repair(other, fs, checkpoints)).toMatchObject({ position: 1n, sequence: 1n });
  const again = await openNode(other, { fs, checkpoints });
  await again.promote();
  expect([...again.keys()]).toEqual([1n]);
});

test('a node behind a repair does not restore a checkpoint of lost entries', async () => {
  const log = new SimulatedLog();
  const [fs, other, checkpoints] = [new CrashFs(), new CrashFs(), new MemoryCheckpoints()];
  const store = await openNode(log, { fs, checkpoints: checkpoints.connect() });
  await store.promote();
  await store.put(1n, 1n);
  const before = await openNode(log, { fs: other });
  await before.reached(2n);
  await before.close();
  for (const key of [2n, 3n]) await store.put(key, 1n);
  await store.checkpoint();
  await store.close();
  log.lose(2n);
  const unremovable = checkpoints.connect();
  unremovable.delete = () => Promise.reject(new CheckpointStoreError('unavailable', 'no bucket'));
  await expect(repair(log, fs, unremovable)).rejects.toThrow('no bucket');
  expect(log.bounds.last).toBe(3n);
  const behind = await openNode(log, { fs: other, checkpoints });
  await expect.poll(() => behind.stats().replica.checkpoints.failed).toBeGreaterThan(1);
  expect(behind.stats().replica).toMatchObject({ position: 2n, failure: undefined });
  const report = await repair(log, fs, checkpoints);
  expect(report).toMatchObject({ position: 3n, sequence: 3n, removedCheckpoints: 1 });
  await behind.reached(3n);
  expect([...behind.keys()]).toEqual([1n, 2n, 3n]);
});

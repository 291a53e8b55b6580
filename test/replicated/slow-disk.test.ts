import { afterEach, expect, test } from 'vitest';
import type { ReplicatedStore } from '../../src/replicated/index.ts';
import { CrashFs, openReplicaOn, SimulatedLog } from '../../src/testing/index.ts';
import { deferred, type Deferred } from '../support/deferred.ts';

/** A machine whose writes to logs can be held. */
class SlowMachine {
  readonly fs: CrashFs = new CrashFs({
    trace: false,
    scheduler: { turn: (label) => this.#turn(label) },
  });
  #held: Deferred<void> | undefined;

  hold(): void {
    this.#held ??= deferred();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  #turn(label: string): Promise<void> {
    const isLogWrite = /^write .*\/log_/.test(label);
    return isLogWrite && this.#held !== undefined ? this.#held.promise : Promise.resolve();
  }
}

const machines: SlowMachine[] = [];
const opened: ReplicatedStore[] = [];

afterEach(async () => {
  for (const machine of machines.splice(0)) machine.release();
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

async function openNode(log: SimulatedLog, fs: CrashFs): Promise<ReplicatedStore> {
  const options = { log: log.connect(), pollMs: 5 };
  const store = await openReplicaOn(fs, '/node', options, { seed: 900 + opened.length });
  opened.push(store);
  return store;
}

const KIND_OFFSET = 5;
const BATCHES = 1;

/** A primary that has appended its first group, which it is still writing to its directory. */
async function openWriting() {
  const machine = new SlowMachine();
  machines.push(machine);
  let groups = 0;
  const onAppend = (entry: Uint8Array): void => {
    if (entry[KIND_OFFSET] === BATCHES && ++groups === 1) machine.hold();
  };
  const log = new SimulatedLog({ onAppend });
  const store = await openNode(log, machine.fs);
  await store.promote();
  const put = store.put(1n, 1n);
  await expect.poll(() => log.bounds.last).toBe(2n);
  return { machine, log, store, put };
}

test('a barrier beside the local write of a group is reached with the group', async () => {
  const { machine, log, store, put } = await openWriting();
  const barrier = store.barrier();
  await expect.poll(() => log.bounds.last).toBe(3n);
  expect([store.position, store.has(1n)]).toEqual([1n, false]);
  machine.release();
  expect([await barrier, store.position, store.has(1n)]).toEqual([3n, 3n, true]);
  expect((await put).sequence).toBe(1n);
  await store.put(2n, 1n);
  expect(store.stats()).toMatchObject({ lastSequence: 2n, replica: { failure: undefined } });
});

test('a primary that is deposed while it writes a group goes on when it has written it', async () => {
  const { machine, log, store, put } = await openWriting();
  const other = await openNode(log, new CrashFs());
  await other.promote();
  await other.put(2n, 1n);
  await expect.poll(() => store.role).toBe('replica');
  expect(store.position).toBe(1n);
  const again = store.promote();
  machine.release();
  expect((await put).sequence).toBe(1n);
  await again;
  expect([...store.keys()]).toEqual([1n, 2n]);
  await store.put(3n, 1n);
  await other.reached(store.position);
  expect([...other.keys()]).toEqual([1n, 2n, 3n]);
});

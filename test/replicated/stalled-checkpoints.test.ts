import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  PatientCheckpoints,
  STALL_MS,
} from '../../src/replicated/checkpoint/patient-checkpoints.ts';
import type { CheckpointCallOptions } from '../../src/replicated/index.ts';
import { OpenReplica } from '../../src/replicated/node/open-replica.ts';
import { MACHINE_CLOCK } from '../../src/replicated/node/replica-clock.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';
import { deferred } from '../support/deferred.ts';

const STALLED = {
  name: 'CheckpointStoreError',
  reason: 'unavailable',
  message: expect.stringContaining('has not answered') as string,
};

/** The calls that wait for a checkpoint store. */
const rings = new Set<() => void>();

function timer(delayMs: number, ring: () => void): () => void {
  if (delayMs !== STALL_MS) return MACHINE_CLOCK.timer(delayMs, ring);
  rings.add(ring);
  return () => void rings.delete(ring);
}

function passTime(): void {
  for (const ring of rings) ring();
}

beforeEach(() => rings.clear());
afterEach(() => {
  vi.restoreAllMocks();
});

test('an upload keeps no places of groups, and ends if it makes no progress', async () => {
  const withMarks = vi.spyOn(OpenReplica.prototype, 'withMarks');
  const [log, checkpoints] = [new SimulatedLog(), new MemoryCheckpoints()];
  const options = { log: log.connect(), checkpoints, checkpointEveryMs: 0 };
  const store = await openReplicaOn(new CrashFs(), '/node', options, { seed: 1, timer });
  await store.promote();
  await store.put(1n, 1n);
  const asked = deferred<AbortSignal | undefined>();
  const put = checkpoints.put.bind(checkpoints);
  checkpoints.put = (_name, _source, call?: CheckpointCallOptions) => {
    asked.resolve(call?.signal);
    return new Promise(() => undefined);
  };
  const writing = store.checkpoint();
  const signal = await asked.promise;
  expect(withMarks.mock.settledResults.map(({ type }) => type)).toEqual(['fulfilled']);
  const next = store.checkpoint();
  checkpoints.put = put;
  passTime();
  await expect(writing).rejects.toMatchObject(STALLED);
  expect(signal?.aborted).toBe(true);
  expect(await next).toMatchObject({ position: store.position });
  expect(store.stats().replica.checkpoints).toMatchObject({ written: 1, failed: 1 });
  await store.close();
  expect(rings.size).toBe(0);
});

test('a download may take long, if each piece comes in time', async () => {
  const checkpoints = new MemoryCheckpoints();
  const patient = new PatientCheckpoints(checkpoints, timer);
  let ended = 0;
  checkpoints.get = async function* () {
    try {
      yield Uint8Array.of(1);
      yield Uint8Array.of(2);
      await new Promise(() => undefined);
    } finally {
      ended++;
    }
  };
  const pieces: Uint8Array[] = [];
  const reading = (async () => {
    for await (const piece of patient.get('object')) {
      pieces.push(piece);
      // The reader's own time does not count.
      passTime();
    }
  })();
  await vi.waitFor(() => expect(pieces).toHaveLength(2));
  await vi.waitFor(() => expect(rings.size).toBe(1));
  passTime();
  await expect(reading).rejects.toMatchObject(STALLED);
  for await (const piece of patient.get('object')) {
    expect(piece).toEqual(Uint8Array.of(1));
    break;
  }
  expect([ended, rings.size]).toEqual([1, 0]);
});

test('an abort of the caller reaches the store', async () => {
  const checkpoints = new MemoryCheckpoints();
  const patient = new PatientCheckpoints(checkpoints, timer);
  checkpoints.put = (_name, _source, call?: CheckpointCallOptions) =>
    new Promise((_, reject) => {
      call?.signal?.addEventListener('abort', () => reject(call.signal!.reason as Error));
    });
  const caller = new AbortController();
  const source = { sizeBytes: 0, read: async function* () {} };
  const putting = patient.put('object', source, { signal: caller.signal });
  caller.abort(new Error('closed'));
  await expect(putting).rejects.toThrow('closed');
  expect(rings.size).toBe(0);
});

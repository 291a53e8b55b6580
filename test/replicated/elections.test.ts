import { afterEach, expect, test } from 'vitest';
import type { Elector, ReplicatedOptions, ReplicatedStore } from '../../src/replicated/index.ts';
import { CrashFs, openReplicaOn, SimulatedLog } from '../../src/testing/index.ts';
import { deferred, type Deferred } from '../support/deferred.ts';

const opened: ReplicatedStore[] = [];
const releases: (() => void)[] = [];

afterEach(async () => {
  for (const release of releases.splice(0)) release();
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 1_100;

async function openNode(
  log: SimulatedLog,
  options: Omit<ReplicatedOptions, 'log'> = {},
  fs: CrashFs = new CrashFs({ trace: false }),
): Promise<ReplicatedStore> {
  const given: ReplicatedOptions = { pollMs: 5, ...options, log: log.connect() };
  const store = await openReplicaOn(fs, '/node', given, { seed: ++seed });
  opened.push(store);
  return store;
}

/** From `begin` on, elects one node at a time, in the order of their campaigns. */
class Election implements Elector {
  readonly #begun: Deferred<void> = deferred();
  #last: Promise<void> = this.#begun.promise;

  begin(): void {
    this.#begun.resolve();
  }

  async campaign(
    _: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<{ readonly lost: Promise<void> }> {
    const before = this.#last;
    const over = deferred<void>();
    this.#last = Promise.all([before, over.promise]).then(() => undefined);
    signal.addEventListener('abort', () => over.resolve(), { once: true });
    if (signal.aborted) over.resolve();
    await before;
    signal.throwIfAborted();
    return { lost: over.promise };
  }
}

/** A node that is the primary, and applies what it commits. */
async function openPrimary(log: SimulatedLog): Promise<ReplicatedStore> {
  const store = await openNode(log);
  await store.promote();
  await store.put(1n, 1n);
  return store;
}

test('an elected node whose disk hangs resigns, and another one takes over', async () => {
  const log = new SimulatedLog();
  let held: Promise<void> | undefined;
  let isHanging = false;
  const turn = (label: string): Promise<void> => {
    if (held === undefined || !/^write .*\/log_/.test(label)) return Promise.resolve();
    isHanging = true;
    return held;
  };
  const fs = new CrashFs({ trace: false, scheduler: { turn } });
  const elector = new Election();
  const primary = await openPrimary(log);
  const stuck = await openNode(log, { elector, commitTimeoutMs: 30 }, fs);
  const other = await openNode(log, { elector });
  await stuck.reached(primary.position);
  const { promise, resolve } = deferred<void>();
  releases.push(() => resolve());
  held = promise;
  await primary.put(2n, 1n);
  await expect.poll(() => isHanging).toBe(true);
  const aborting = new AbortController();
  const promoted = stuck.promote({ signal: aborting.signal });
  aborting.abort(new Error('changed my mind'));
  await expect(promoted).rejects.toThrow('changed my mind');
  elector.begin();
  await expect.poll(() => other.role).toBe('primary');
  await other.put(3n, 1n);
  expect([stuck.role, stuck.has(2n)]).toEqual(['replica', false]);
  held = undefined;
  resolve();
  await stuck.reached(other.position);
  expect([...stuck.keys()]).toEqual([1n, 2n, 3n]);
});

test('an elected node whose disk is full resigns at once, and another one takes over', async () => {
  const log = new SimulatedLog();
  const fs = new CrashFs();
  const elector = new Election();
  const primary = await openPrimary(log);
  const full = await openNode(log, { elector, commitTimeoutMs: 600_000 }, fs);
  const other = await openNode(log, { elector });
  await full.reached(primary.position);
  fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky', path: /\/log_/ });
  const refusals = (): number => fs.trace.filter(({ outcome }) => outcome === 'ENOSPC').length;
  await primary.put(2n, 1n);
  // The second attempt comes after the first has failed as a whole.
  for (let attempt = 0; attempt < 2; attempt++) {
    const before = refusals();
    await expect.poll(refusals).toBeGreaterThan(before);
  }
  elector.begin();
  await expect.poll(() => other.role).toBe('primary');
  expect(full.stats().replica).toMatchObject({ role: 'replica', failure: undefined });
  fs.faults.clear();
  await full.reached(other.position);
  expect([...full.keys()]).toEqual([1n, 2n]);
});

test('a node that loses its election while it waits does not take over', async () => {
  const log = new SimulatedLog();
  const primary = await openPrimary(log);
  let held: Promise<void> | undefined;
  const turn = (label: string): Promise<void> =>
    held !== undefined && /^write .*\/log_/.test(label) ? held : Promise.resolve();
  const fs = new CrashFs({ trace: false, scheduler: { turn } });
  const [won, lost] = [deferred<void>(), deferred<void>()];
  let campaigns = 0;
  const elector: Elector = {
    campaign: async (_, { signal }) => {
      if (++campaigns > 1)
        return new Promise((__, reject) => signal.addEventListener('abort', reject));
      await won.promise;
      return { lost: lost.promise };
    },
  };
  const node = await openNode(log, { elector }, fs);
  await node.reached(primary.position);
  const { promise, resolve } = deferred<void>();
  releases.push(() => resolve());
  held = promise;
  await primary.put(2n, 1n);
  won.resolve();
  await expect.poll(() => node.role).toBe('candidate');
  lost.resolve();
  await expect.poll(() => node.role).toBe('replica');
  held = undefined;
  resolve();
  await node.reached(primary.position);
  await expect.poll(() => campaigns).toBe(2);
  expect([primary.role, node.role]).toEqual(['primary', 'replica']);
});

test('a primary that is deposed does not name the primary before its own term', async () => {
  const log = new SimulatedLog();
  const [a, b] = [await openNode(log, { address: 'a' }), await openNode(log, { address: 'b' })];
  const c = await openNode(log, { address: 'c', pollMs: 60_000 });
  await a.promote();
  await c.promote();
  await b.promote();
  await expect(c.put(1n, 1n)).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    address: undefined,
  });
  await expect.poll(() => c.primaryAddress).toBe('b');
});

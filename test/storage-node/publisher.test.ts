import { expect, test } from 'vitest';
import { Counters } from '../../examples/storage-node/src/ledger/node-record.ts';
import { Publisher } from '../../examples/storage-node/src/ledger/publisher.ts';
import type { Turn } from '../../examples/storage-node/src/ledger/publisher.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import type { MetadataStore } from '../../src/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, put, SMALL } from './support/nodes.ts';

const change = (turn: Turn): void => turn.put(1n, 1n, new Uint8Array());

/** The outcome of a call that may stay pending. */
async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  const pending = new Promise((resolve) => setTimeout(resolve, 5_000, 'pending').unref());
  const settled = call.then(
    () => 'resolved',
    (error: unknown) => error,
  );
  return Promise.race([settled, pending]);
}

test('a reserve that cannot be given up is reported, and changes are refused until there is space', async () => {
  let isFull = true;
  const store = {
    get: () => undefined,
    valueOf: () => undefined,
    insertBatch: () => {
      const full = { code: 'LODESTORE_FULL', outcome: 'not-applied' };
      return isFull ? Promise.reject(Object.assign(new Error(), full)) : Promise.resolve();
    },
  } as unknown as MetadataStore;
  const told: unknown[] = [];
  const unlink = new Error('EIO: unlink');
  const publisher = new Publisher(store, new Counters(undefined), {
    onFull: () => Promise.reject(unlink),
    onError: (error) => told.push(error),
  });
  const refused = [publisher.submit(change), publisher.submit(change)];
  for (const one of refused) expect(await outcomeOf(one)).toMatchObject({ code: 'NO_SPACE' });
  expect(told.length).toBeGreaterThan(0);
  expect(new Set(told)).toEqual(new Set([unlink]));
  isFull = false;
  expect(await outcomeOf(publisher.submit(change))).toBe('resolved');
  expect(publisher.failure).toBe(undefined);
});

test('a turn that is recorded and cannot be applied in memory fails the publisher; all changes settle', async () => {
  const store = { insertBatch: () => Promise.resolve() } as unknown as MetadataStore;
  const failures: Error[] = [];
  const events = { onFailed: (error: Error) => failures.push(error) };
  const publisher = new Publisher(store, new Counters(undefined), events);
  const fault = new Error('fault');
  const faulty = publisher.submit((turn) => {
    change(turn);
    turn.onCommit(() => {
      throw fault;
    });
  });
  expect(await outcomeOf(faulty)).toBe(fault);
  expect(await outcomeOf(publisher.submit(change))).toBe(fault);
  expect(failures).toEqual([fault]);
  await publisher.idle();
});

test('a node whose reserve file cannot be removed refuses, and stores again when there is space', async () => {
  const files = new CrashFs({ capacityBytes: 4 * 2 ** 20 });
  const told: string[] = [];
  const reserveFileBytes = 2 ** 18;
  const onError = ({ message }: Error): number => told.push(message);
  const options = { ...SMALL, reserveFileBytes, onError };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  await node.createBucket('b');
  await put(node, 'b', 'n', bytesOf(1_000));
  await files.makeDirectory('/other');
  const ballast = await files.open('/other/ballast', 'wx');
  await ballast.truncate(await files.freeBytes('/other'));
  files.faults.add({ call: 'unlink', path: '/node/reserve', mode: 'sticky' });
  // Only the metadata gets them, whose log has some space left.
  let outcome: unknown = 'resolved';
  for (let i = 0; i < 1_000 && outcome === 'resolved'; i++) {
    outcome = await outcomeOf(
      node.createUpload('b', `n${i}`, { headers: { text: bytesOf(20_000).toString('hex') } }),
    );
  }
  expect(outcome).toMatchObject({ code: 'NO_SPACE' });
  expect(told.length).toBeGreaterThan(0);
  await ballast.truncate(0);
  files.faults.clear();
  await ballast.close();
  await node.compact();
  expect(await outcomeOf(put(node, 'b', 'n2', bytesOf(1_000)))).toBe('resolved');
  await node.close();
});

import { ListMultipartUploadsCommand, CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { S3Checkpoints } from '../../src/adapters/s3/s3-checkpoints.ts';
import type { ReplicatedStore } from '../../src/replicated/index.ts';
import {
  checkpointStoreConformance,
  CrashFs,
  openReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';
import { openStorageNode, type OpenNode } from '../storage-node/support/both-nodes.ts';
import { openWorld, type S3World } from '../storage-node/support/s3-world.ts';

const MIB = 1024 * 1024;
const BUCKET = 'checkpoints';

describe('checkpoints in the storage node of this repository', () => {
  let kept: OpenNode;
  let world: S3World;
  let prefixes = 0;
  beforeAll(async () => {
    kept = await openStorageNode();
    world = await openWorld({}, kept.node);
    await world.client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  afterAll(async () => {
    await world.close();
    await kept.close();
  });

  const connect = (prefix: string): S3Checkpoints =>
    new S3Checkpoints({ client: world.client, bucket: BUCKET, prefix: `${prefix}/` });

  const cases = checkpointStoreConformance(() => {
    const prefix = `case-${prefixes++}`;
    return { open: async () => connect(prefix) };
  });
  test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());

  test('an object of several parts comes back; one that fails leaves no upload', async () => {
    const store = connect('parts');
    const read = async function* (fails: boolean): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 17; i++) {
        if (fails && i > 8) throw new Error('the source failed');
        yield await Promise.resolve(new Uint8Array(2 * MIB).fill(i));
      }
    };
    await store.put('large', { sizeBytes: 34 * MIB, read: () => read(false) });
    let lengthBytes = 0;
    for await (const piece of store.get('large')) {
      expect(piece[0]).toBe(Math.floor(lengthBytes / (2 * MIB)));
      lengthBytes += piece.length;
    }
    expect(lengthBytes).toBe(34 * MIB);
    const failing = store.put('half', { sizeBytes: 34 * MIB, read: () => read(true) });
    await expect(failing).rejects.toThrow('the source failed');
    const { Uploads = [] } = await world.client.send(
      new ListMultipartUploadsCommand({ Bucket: BUCKET }),
    );
    expect(Uploads).toEqual([]);
  });

  describe('of a replicated store', () => {
    const opened: ReplicatedStore[] = [];
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    });

    test('a new machine is filled from one, and the log is trimmed behind the second', async () => {
      const log = new SimulatedLog();
      const open = async (seed: number): Promise<ReplicatedStore> => {
        const options = { log: log.connect(), checkpoints: connect('shard-1'), pollMs: 20 };
        const store = await openReplicaOn(new CrashFs({ trace: false }), '/node', options, {
          seed,
        });
        opened.push(store);
        return store;
      };
      const first = await open(1);
      await first.promote();
      for (let round = 0n; round < 3n; round++) {
        for (let key = 0n; key < 20n; key++) await first.put(100n * round + key, key + 1n);
        await first.checkpoint();
      }
      const { checkpoints } = first.stats().replica;
      expect(checkpoints).toMatchObject({ newestPosition: 61n, written: 3, trims: 2 });
      expect(log.bounds.first).toBe(42n);
      await first.put(7_000n, 1n);
      const second = await open(2);
      await second.reached(first.position);
      expect(await second.contentHash()).toEqual(await first.contentHash());
    });
  });
});

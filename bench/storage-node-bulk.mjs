/**
 * Adds millions of objects with one shared body to a closed node, for measurements of names,
 * opening and memory: `node bench/storage-node-bulk.mjs DIRECTORY BUCKET COUNT`. Metadata and
 * blocks of names are as if each object had been stored in the order of the names; the bodies do
 * not exist. It imports compiled internals of the node, which do not exist before a build, so it is
 * not type-checked.
 */
import { randomBytes } from 'node:crypto';
import { nodeFileSystem } from 'lodestore/fs';
import { keyOf } from '../examples/storage-node/dist/ledger/keys.js';
import { encodeLeaf } from '../examples/storage-node/dist/names/leaf-block.js';
import { encodeLeafRecord, leafKey } from '../examples/storage-node/dist/names/leaf-record.js';
import { checkedOptions } from '../examples/storage-node/dist/node-options.js';
import { encodeEntry } from '../examples/storage-node/dist/objects/object-entry.js';
import { openParts } from '../examples/storage-node/dist/opening.js';
import { handleOf } from '../examples/storage-node/dist/volumes/handle.js';
import { encodeRecord } from '../examples/storage-node/dist/volumes/record.js';

const LEAF_NAMES = 256;
const LEAVES_AT_ONCE = 32;

/** Ascending, some 40 bytes each. @param {number} i */
function nameOf(i) {
  return `prefix-${String(Math.floor(i / 100_000)).padStart(4, '0')}/2026/11/object-${String(i).padStart(10, '0')}`;
}

/**
 * Adds `count` objects to a bucket of a node that is not open.
 *
 * @param {string} directory
 * @param {string} bucketName
 * @param {number} count
 */
async function fillInBulk(directory, bucketName, count) {
  const { parts } = await openParts(directory, checkedOptions({ reserveFileBytes: 0 }), {
    files: nodeFileSystem,
    now: Date.now,
    randomBytes,
  });
  const { buckets, counters, hash, identity, names, publisher, store, volumes, writers } = parts;
  const bucket = buckets.get(bucketName);
  const data = [...volumes].find(({ kind }) => kind === 'data');
  const handle = handleOf(data?.number ?? 1, 4096);
  const nowMs = Date.now();
  /** @param {number} from */
  const addLeaves = async (from) => {
    const leaves = [];
    for (let i = 0; i < LEAVES_AT_ONCE && from + i * LEAF_NAMES < count; i++) {
      const first = from + i * LEAF_NAMES;
      const length = Math.min(LEAF_NAMES, count - first);
      leaves.push(Array.from({ length }, (_, j) => nameOf(first + j)));
    }
    const blocks = await Promise.all(
      leaves.map(async (leaf) => {
        const body = encodeLeaf(leaf);
        const id = counters.takeLeaf();
        const record = encodeRecord({
          kind: 'leaf',
          sequence: counters.takeSerial(),
          key: BigInt(id),
          bucketId: bucket.id,
          sizeBytes: body.length,
          timeMs: 0,
          name: Buffer.from(leaf[0] ?? '', 'latin1'),
          meta: new Uint8Array(),
          body: [body],
          bodyBytes: body.length,
        });
        return { id, leaf, at: await writers.index.append(record) };
      }),
    );
    await publisher.submit((turn) => {
      for (const { id, leaf, at } of blocks) {
        const low = leaf[0] ?? '';
        const place = handleOf(at.volume.number, at.offset);
        const fields = { bucketId: bucket.id, nextDelta: 1, lengthBytes: at.lengthBytes, low };
        turn.batch.put(leafKey(id), place, encodeLeafRecord(fields));
        turn.revive(at);
        for (const name of leaf) {
          const { home, mark } = hash(bucket.id, name);
          const entry = encodeEntry(
            {
              displacement: 0,
              mark,
              modifiedMs: nowMs,
              etag: '0123456789abcdef0123456789abcdef',
              sizeBytes: 1024,
              lengthBytes: 1152,
              content: undefined,
            },
            identity.epochMs,
          );
          turn.batch.put(keyOf('object', home), handle, entry);
        }
        turn.count(bucket, leaf.length, 1024 * leaf.length);
      }
    });
    for (const { at } of blocks) at.settle();
  };
  for (let from = 0; from < count; from += LEAVES_AT_ONCE * LEAF_NAMES) await addLeaves(from);
  await names.close();
  await writers.close();
  await volumes.close();
  await store.merge();
  await store.close();
}

const [directory = '', bucket = '', count = '0'] = process.argv.slice(2);
await fillInBulk(directory, bucket, Number(count));

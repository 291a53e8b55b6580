/** The node of `soak.ts`: works until it is killed, and reports each step to its parent. */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { SOAK_BUCKETS, SOAK_OPTIONS } from './soak-report.ts';
import type { Mix, Report, SoakBucket } from './soak-report.ts';

const CLIENTS = 16;
const NAMES = 400;
/** The buckets of the clients, in turn. */
const TURNS: readonly SoakBucket[] = ['b', 'd', 'b', 'z'];
const data = process.env['SOAK_DATA']!;
const mix = JSON.parse(process.env['SOAK_MIX']!) as Mix;
// The parent is gone, so there is nobody to report to.
process.on('disconnect', () => process.exit(1));

function tell(report: Report): Promise<void> {
  return new Promise((resolve) => process.send!(report, () => resolve()));
}

// All modules are loaded: what follows is the opening alone.
await tell({ type: 'started' });
const node = await StorageNode.open(data, { ...SOAK_OPTIONS, upkeepMs: 100 });
for (const [name, policy] of Object.entries(SOAK_BUCKETS)) await node.createBucket(name, policy);
await tell({ type: 'ready' });

/** Half of the bodies of the compressed bucket shrink. */
function bodyOf(bucket: SoakBucket, size: number): Buffer {
  if (bucket !== 'z' || Math.random() < 0.5) return randomBytes(size);
  return Buffer.from(randomBytes(Math.ceil(size / 2)).toString('hex')).subarray(0, size);
}

async function step(bucket: SoakBucket, name: string): Promise<void> {
  // Each durable call writes the buffer: fewer of them leave more in it.
  const share = bucket === 'd' ? 0.2 : 1;
  const isDelete = Math.random() < share * mix.deletes;
  const size =
    Math.random() < share * mix.large
      ? 300_000 + Math.floor(Math.random() * 700_000)
      : Math.floor(Math.random() * 20_000);
  const body = isDelete ? undefined : bodyOf(bucket, size);
  const hash = body && createHash('sha256').update(body).digest('hex');
  const isSynced = bucket !== 'd' || isDelete || size > SOAK_OPTIONS.extentBytes;
  const said = { bucket, name, isSynced, ...(hash !== undefined && { hash }) };
  // The parent must know of it before it can be published.
  await tell({ type: 'begin', ...said, atMs: Date.now() });
  try {
    if (body === undefined) await node.delete(bucket, name);
    else {
      const etag = createHash('md5').update(body).digest('hex');
      await node.put(bucket, name, [body], { describe: () => ({ etag, meta: { headers: {} } }) });
    }
    await tell({ type: 'done', ...said, atMs: Date.now() });
  } catch (error) {
    const code = String((error as { code?: unknown }).code);
    await tell({ type: 'refused', ...said, atMs: Date.now(), code });
  }
}

async function client(number: number): Promise<never> {
  for (let retired = 0; ;) {
    const bucket = TURNS[number % TURNS.length]!;
    await step(bucket, `${number}/${Math.floor(Math.random() * (NAMES / CLIENTS))}`);
    // Without a sync, a client would do nothing but store.
    if (bucket === 'd') await pause(2);
    if (mix.pauseMs > 0) await pause(mix.pauseMs);
    if (number !== 0) continue;
    const { compaction } = await node.figures();
    if (compaction.retiredVolumes > retired) {
      await tell({ type: 'compacted', compacted: compaction.retiredVolumes - retired });
      retired = compaction.retiredVolumes;
    }
  }
}

await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));

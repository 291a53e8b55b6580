/** The node of `soak.ts`: works until it is killed, and reports each step to its parent. */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { BodyDescription } from '../../../examples/storage-node/src/object-node.ts';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { SOAK_BUCKETS, SOAK_OPTIONS } from './soak-report.ts';
import type { Mix, Report, SoakBucket } from './soak-report.ts';

const CLIENTS = 16;
/** Names of a client. In the bucket with a quota, some must be old enough to be evicted. */
const NAMES: Readonly<Record<SoakBucket, number>> = { b: 25, d: 25, z: 25, q: 150 };
/** The buckets of the clients, in turn. */
const TURNS: readonly SoakBucket[] = ['b', 'd', 'b', 'z', 'q'];
/** Share of steps of plain and compressed buckets that are uploads in parts. */
const UPLOADS = 0.08;
/** Share of these that are aborted. */
const ABORTS = 0.4;
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
for (const [name, policy] of Object.entries(SOAK_BUCKETS)) {
  await node.createBucket(name, policy);
  // Those that the last kill has left.
  for (const { uploadId } of (await node.uploads(name)).uploads) await abort(uploadId);
}
await tell({ type: 'ready' });

/** Half of the bodies of the compressed bucket shrink. */
function bodyOf(bucket: SoakBucket, size: number): Buffer {
  if (bucket !== 'z' || Math.random() < 0.5) return randomBytes(size);
  return Buffer.from(randomBytes(Math.ceil(size / 2)).toString('hex')).subarray(0, size);
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code);
}

/** Without space it stays, for the next round. */
async function abort(uploadId: string): Promise<void> {
  try {
    await node.abortUpload(uploadId);
    await tell({ type: 'aborted', uploadId });
  } catch (error) {
    if (codeOf(error) !== 'NO_SPACE' && codeOf(error) !== 'BUSY') throw error;
  }
}

/** An upload in two parts, which is completed or aborted. */
async function upload(bucket: SoakBucket, name: string): Promise<void> {
  const parts = [400_000, 50_000].map((most) => bodyOf(bucket, Math.ceil(Math.random() * most)));
  const hash = createHash('sha256').update(parts[0]!).update(parts[1]!).digest('hex');
  const said = { bucket, name, hash, isSynced: true };
  let uploadId: string | undefined;
  try {
    ({ uploadId } = await node.createUpload(bucket, name, { headers: {} }));
    const wanted: { number: number; etag: string }[] = [];
    for (const [i, part] of parts.entries()) {
      const etag = createHash('md5').update(part).digest('hex');
      const describe = (): BodyDescription => ({ etag, meta: { headers: {} } });
      await node.putPart(uploadId, i + 1, [part], { describe });
      wanted.push({ number: i + 1, etag });
    }
    if (Math.random() < ABORTS) return await abort(uploadId);
    await tell({ type: 'begin', ...said, atMs: Date.now() });
    const description = { etag: `${wanted[0]!.etag}-2`, meta: { headers: {} } };
    await node.completeUpload(bucket, name, uploadId, wanted, description);
    await tell({ type: 'done', ...said, uploadId, atMs: Date.now() });
  } catch (error) {
    await tell({ type: 'refused', ...said, atMs: Date.now(), code: codeOf(error) });
    if (uploadId !== undefined) await abort(uploadId);
  }
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
  const said = { bucket, name, isSynced, ...(body && { hash: hash!, sizeBytes: size }) };
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
    await tell({ type: 'refused', ...said, atMs: Date.now(), code: codeOf(error) });
  }
}

async function client(number: number): Promise<never> {
  for (let retired = 0; ;) {
    const bucket = TURNS[number % TURNS.length]!;
    const name = `${number}/${Math.floor(Math.random() * NAMES[bucket])}`;
    const isUpload = (bucket === 'b' || bucket === 'z') && Math.random() < UPLOADS;
    await (isUpload ? upload(bucket, name) : step(bucket, name));
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

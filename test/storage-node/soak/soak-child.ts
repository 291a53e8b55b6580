/** The node of `soak.ts`: works until it is killed, and reports each step to its parent. */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { SOAK_OPTIONS, type Mix, type Report } from './soak-report.ts';

const CLIENTS = 16;
const NAMES = 400;
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
await node.createBucket('b');
await tell({ type: 'ready' });

async function step(name: string): Promise<void> {
  const isDelete = Math.random() < mix.deletes;
  const size =
    Math.random() < mix.large
      ? 300_000 + Math.floor(Math.random() * 700_000)
      : Math.floor(Math.random() * 20_000);
  const body = isDelete ? undefined : randomBytes(size);
  const hash = body && createHash('sha256').update(body).digest('hex');
  const said = { name, ...(hash !== undefined && { hash }) };
  // The parent must know of it before it can be published.
  await tell({ type: 'begin', ...said });
  try {
    if (body === undefined) await node.delete('b', name);
    else {
      const etag = createHash('md5').update(body).digest('hex');
      await node.put('b', name, [body], { describe: () => ({ etag, meta: { headers: {} } }) });
    }
    await tell({ type: 'done', ...said });
  } catch (error) {
    await tell({ type: 'refused', ...said, code: String((error as { code?: unknown }).code) });
  }
}

async function client(number: number): Promise<never> {
  for (let retired = 0; ;) {
    await step(`${number}/${Math.floor(Math.random() * (NAMES / CLIENTS))}`);
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

import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { MetadataStore } from '../../src/index.ts';
import { faultBatch } from './fault-batches.ts';
import { writeBallast } from './mounts.ts';
import type { Report } from './report.ts';
import { attempt, inTemporary, isRoot, must } from './shell.ts';

const OPTIONS = { reserveFileBytes: 1024 * 1024 };

/** A small tmpfs without a free byte when the store is opened. */
export async function smallTmpfs(report: Report): Promise<void> {
  const what = 'tmpfs with size=8m: open, delete, merge';
  if (!isRoot) return report.skip(what, 'mounting needs root');
  await inTemporary(async (directory) => {
    const path = join(directory, 'tmpfs');
    mkdirSync(path);
    must('mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', path);
    try {
      report.check(what, await openOnFull(path).catch((error: unknown) => inspect(error)));
    } finally {
      attempt('umount', '--lazy', path);
    }
  });
}

/** Returns what was wrong. */
async function openOnFull(path: string): Promise<string | undefined> {
  const directory = join(path, 'store');
  const first = await MetadataStore.open(directory, OPTIONS);
  for (let batch = 0; batch < 10; batch++) await first.insertBatch(faultBatch(batch, 20_000));
  while (first.stats().space.reserveFile !== 'kept') {
    await new Promise((resume) => setImmediate(resume));
  }
  const keys = [...first.keys()];
  await first.close();
  const { bavail, bsize } = statfsSync(path);
  writeBallast(join(path, 'ballast'), bavail * bsize);
  const store = await MetadataStore.open(directory, OPTIONS);
  if (store.size !== keys.length) return `${store.size} records, not ${keys.length}`;
  for (const key of keys) await store.insertBatch([{ type: 'del', key }]);
  await store.merge();
  const { logs, merges } = store.stats();
  await store.close();
  const again = await MetadataStore.open(directory, OPTIONS);
  const { size } = again;
  await again.close();
  if (size !== 0) return `${size} records are back`;
  const keptBytes = logs.bytes + merges.snapshotBytes;
  return keptBytes < 4_096 ? undefined : `${keptBytes} bytes are not given back`;
}

import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import { STORE_ID_BYTES } from '../format/checksum.ts';
import { MARKER_NAME, snapshotName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { writeFully } from '../fs/write.ts';
import { SnapshotWriter, type WrittenSnapshot } from '../snapshot/snapshot-writer.ts';
import type { Salvageable } from '../store/salvage/salvage-reading.ts';
import { toJson } from './output/json-text.ts';

/**
 * The loss report in a directory written by `salvage`. A store treats it as a foreign file and does
 * not touch it.
 */
export const REPORT_NAME = 'SALVAGE.json';

/**
 * Writes the salvaged records as a new store. It has a new id, so that no file of the old directory
 * is valid in it. `lastSequence` is that of the new store.
 */
export async function writeSalvaged(
  fs: FileSystem,
  directory: string,
  { columns, lastSequence }: Pick<Salvageable, 'columns' | 'lastSequence'>,
  options: { readonly signal: AbortSignal; readonly onRecords: (records: number) => void },
): Promise<WrittenSnapshot> {
  const marker = await fs.open(join(directory, MARKER_NAME), 'wx');
  await marker.close();
  const file = await fs.open(join(directory, snapshotName(0)), 'wx');
  try {
    const writer = new SnapshotWriter(file, {
      kind: 'snapshot',
      storeId: randomFillSync(new Uint8Array(STORE_ID_BYTES)),
      number: 0,
      epoch: 0,
      predecessor: { number: 0, lengthBytes: 0, lastSequence, chain: 0 },
    });
    let records = 0;
    for (const chunk of columns) {
      options.signal.throwIfAborted();
      await writer.writeChunk(chunk);
      records += chunk.recordCount;
      options.onRecords(records);
    }
    return await writer.finish();
  } finally {
    await file.close();
  }
}

/** Writes the loss report into the new store's directory. */
export async function writeReport(
  fs: FileSystem,
  directory: string,
  report: unknown,
): Promise<void> {
  const file = await fs.open(join(directory, REPORT_NAME), 'wx');
  try {
    await writeFully(file, new TextEncoder().encode(`${toJson(report, 2)}\n`), 0);
    await file.dataSync();
  } finally {
    await file.close();
  }
}

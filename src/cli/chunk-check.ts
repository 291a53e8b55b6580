import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { ChunkReader } from '../snapshot/snapshot-reader.ts';
import { damageHint } from '../store/advice.ts';
import type { SnapshotState } from '../store/snapshot-state.ts';
import type { Damage } from './damage.ts';
import type { SurveyOptions } from './survey-options.ts';

/**
 * Decodes every chunk, one at a time, and goes on behind one that is damaged. The index, which has been
 * verified, says what each of them must hold: with keys that ascend and counts that add up.
 */
export async function checkChunks(
  fs: FileSystem,
  directory: string,
  state: Extract<SnapshotState, { format: 'lodestore' }>,
  options: Pick<SurveyOptions, 'signal' | 'progress'>,
): Promise<Damage[]> {
  const { header, index, fileBytes } = state.file;
  const { path, number } = state;
  const hint = damageHint(directory);
  const damages: Damage[] = [];
  const onProgress = options.progress.part();
  let chain = header.checksum;
  const file = await fs.open(path, 'r');
  try {
    const reader = new ChunkReader(file, fileBytes, header.storeId, number);
    for (const [ordinal, entry] of index.entries.entries()) {
      options.signal.throwIfAborted();
      const checked = await checkChunk(reader, entry, ordinal, chain);
      if (typeof checked === 'string') {
        const { firstKey, lastKey, recordCount: records } = entry;
        const keys = { firstKey, lastKey, records, affectedBytes: entry.lengthBytes };
        damages.push({ path, offset: entry.offset, reason: checked, hint, ...keys });
      }
      chain = entry.checksum;
      onProgress(entry.offset + entry.lengthBytes);
    }
    return damages;
  } finally {
    await file.close();
  }
}

/** The reason why a chunk is not what was written, or undefined. */
async function checkChunk(
  reader: ChunkReader,
  entry: IndexEntry,
  ordinal: number,
  chain: number,
): Promise<string | undefined> {
  const raw = await reader.readRaw(entry, ordinal);
  if (raw.kind === 'corrupt') return raw.reason;
  const columns = reader.decode(raw, entry);
  if ('kind' in columns) return columns.reason;
  if (raw.header.chain !== chain) return 'the chunk is not chained to the one before it';
  return undefined;
}

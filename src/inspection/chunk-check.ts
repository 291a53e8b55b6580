import { sumOfColumns } from '../format/columns-sum.ts';
import { ContentSum, contentHashText } from '../format/content-sum.ts';
import { FILE_HEADER_BYTES } from '../format/file-header.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { ChunkReader } from '../snapshot/snapshot-reader.ts';
import { damageHint } from '../store/recovery/advice.ts';
import type { SnapshotState } from '../store/recovery/snapshot-state.ts';
import type { Damage } from './damage.ts';
import type { SurveyOptions } from './survey-options.ts';

/**
 * Decodes every chunk, one at a time, and continues after damaged ones. The index has been
 * verified. It holds each chunk's header checksum, which includes the chunk's place in the chain,
 * and its key range, so keys ascend from chunk to chunk and the counts add up. If all chunks match
 * the index, the content hash is compared too.
 */
export async function checkChunks(
  fs: FileSystem,
  directory: string,
  state: Extract<SnapshotState, { format: 'lodestore' }>,
  options: Pick<SurveyOptions, 'signal' | 'progress'>,
): Promise<Damage[]> {
  const { header, index, fileBytes } = state.file;
  const { path, number } = state;
  const last = index.entries.at(-1);
  const indexOffset = last === undefined ? FILE_HEADER_BYTES : last.offset + last.lengthBytes;
  const hint = damageHint(directory);
  const damages: Damage[] = [];
  const content = new ContentSum();
  const onProgress = options.progress.part();
  const file = await fs.open(path, 'r');
  try {
    const reader = new ChunkReader(file, fileBytes, header.storeId, number);
    for (const [ordinal, entry] of index.entries.entries()) {
      options.signal.throwIfAborted();
      const chunk = await reader.read(entry, ordinal);
      if ('kind' in chunk) {
        const { firstKey, lastKey, recordCount: records } = entry;
        const keys = { firstKey, lastKey, records, affectedBytes: entry.lengthBytes };
        damages.push({ path, offset: entry.offset, reason: chunk.reason, hint, ...keys });
      } else content.add(sumOfColumns(chunk));
      onProgress(entry.offset + entry.lengthBytes);
    }
    const stored = index.totals.contentHash;
    const isOther = stored !== undefined && stored !== content.value;
    if (damages.length > 0 || !isOther) return damages;
    const found = contentHashText(content.value);
    const reason = `the records have the content hash ${found}, and the index says ${contentHashText(stored)}`;
    return [{ path, offset: indexOffset, reason, hint }];
  } finally {
    await file.close();
  }
}

import { viewOf } from '../../base/bytes.ts';
import { StoreError } from '../../base/errors.ts';
import { joinU64 } from '../../base/u64.ts';
import { rowLengthAt } from '../../format/group-rows.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import { shardOfKey, type ShardMap } from './shard-map.ts';

/**
 * The shard of all keys of a batch; undefined for an empty batch.
 * @throws StoreError `LODESTORE_ACROSS_SHARDS`
 */
export function shardOfBatch(map: ShardMap, batch: WriteBatch): number | undefined {
  const packed = WriteBatch.lend(batch);
  try {
    const { rows } = packed;
    const view = viewOf(rows);
    let shard: number | undefined;
    for (let offset = 0; offset < rows.length; offset += rowLengthAt(view, offset)) {
      const low = view.getUint32(offset + KEY_LOW, true);
      const key = joinU64(low, view.getUint32(offset + KEY_HIGH, true));
      const own = shardOfKey(map, key);
      shard ??= own;
      if (own !== shard) throw acrossShards(shard, own);
    }
    return shard;
  } finally {
    packed.release();
  }
}

function acrossShards(one: number, other: number): StoreError {
  return new StoreError(
    'LODESTORE_ACROSS_SHARDS',
    `the batch has keys of shards ${one} and ${other}; a batch is atomic within one shard only`,
    { outcome: 'not-applied' },
  );
}

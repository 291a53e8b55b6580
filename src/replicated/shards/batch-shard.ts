import { viewOf } from '../../base/bytes.ts';
import { StoreError } from '../../base/errors.ts';
import { joinU64 } from '../../base/u64.ts';
import { rowLengthAt } from '../../format/group-rows.ts';
import type { KeyInterval } from '../../base/interval-set.ts';
import { intervalAt, isRangeRow } from '../../format/range-row.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import { shardOfKey, type ShardMap } from './shard-map.ts';

/** A batch has keys of several shards, or deletes a range that reaches over several. */
export class AcrossShardsError extends StoreError {
  override readonly name: string = 'AcrossShardsError';
  /** Two of the shards. */
  readonly shards: readonly [number, number];

  constructor(shards: readonly [number, number]) {
    const message = `the batch reaches over shards ${shards[0]} and ${shards[1]}; a batch is atomic within one shard only`;
    super('LODESTORE_ACROSS_SHARDS', message, { outcome: 'not-applied' });
    this.shards = shards;
  }
}

/**
 * The shard of all keys and ranges of a batch; undefined for an empty batch.
 * @throws AcrossShardsError
 */
export function shardOfBatch(map: ShardMap, batch: WriteBatch): number | undefined {
  const packed = WriteBatch.lend(batch);
  try {
    const { rows } = packed;
    const view = viewOf(rows);
    let shard: number | undefined;
    for (let offset = 0; offset < rows.length; offset += rowLengthAt(view, offset)) {
      const own = isRangeRow(view, offset)
        ? shardOfInterval(map, intervalAt(view, offset))
        : shardOfKey(map, keyAt(view, offset));
      shard ??= own;
      if (own !== shard) throw new AcrossShardsError([shard, own]);
    }
    return shard;
  } finally {
    packed.release();
  }
}

function keyAt(view: DataView, offset: number): bigint {
  const low = view.getUint32(offset + KEY_LOW, true);
  return joinU64(low, view.getUint32(offset + KEY_HIGH, true));
}

/**
 * By range, the keys between two keys of a shard are keys of it too. By hash, every key may be of
 * another shard, so that only a range of one key has one for certain.
 */
function shardOfInterval(map: ShardMap, { lowest, highest }: KeyInterval): number {
  const first = shardOfKey(map, lowest);
  const last = shardOfKey(map, highest);
  if (first !== last) throw new AcrossShardsError([first, last]);
  const isWhole = map.routing.kind === 'range' || lowest === highest || map.shards.length === 1;
  if (!isWhole) throw new AcrossShardsError([first, (first + 1) % map.shards.length]);
  return first;
}

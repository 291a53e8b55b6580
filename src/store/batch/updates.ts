import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { begin, finishAtOnce, type Awaitable, type Flow } from '../../base/flow.ts';
import { CHECKED_ROWS, WorkSlices, type Pacing } from '../../base/work-slices.ts';
import type { BoundOptions } from '../../table/layer/key-range.ts';
import { conditionOf, type Condition } from './condition.ts';
import { isForeignBatch, takeOver } from './foreign-batch.ts';
import { WriteBatch } from './write-batch.ts';

/**
 * One update of a batch that is given as an iterable; `del` is short for `delete`. With a {@link
 * Condition} the whole batch is applied only if the state before the batch meets it.
 */
export type Update =
  | (Condition & {
      readonly type: 'put';
      readonly key: bigint | number;
      readonly value: bigint | number;
      readonly data?: Uint8Array | undefined;
    })
  | (Condition & { readonly type: 'delete' | 'del'; readonly key: bigint | number })
  | (BoundOptions & { readonly type: 'deleteRange' });

const DELETE_RANGE_FIELDS: FieldsOf<BoundOptions & { type: string }> = {
  type: true,
  gte: true,
  gt: true,
  lte: true,
  lt: true,
};

function pack(batch: WriteBatch, update: Update): void {
  if (typeof update !== 'object' || update === null || Array.isArray(update)) {
    throw new TypeError(
      "an update must be { type: 'put', key, value, data? }, { type: 'delete', key } or { type: 'deleteRange', gte, lt }",
    );
  }
  const { type } = update;
  if (type === 'deleteRange') {
    requireKnownFields(update, DELETE_RANGE_FIELDS, 'an update of type deleteRange');
    // Not a spread, which would leave out bounds that are inherited, such as accessors of a class.
    const { gte, gt, lte, lt } = update;
    batch.deleteRange({ gte, gt, lte, lt });
    return;
  }
  if (type !== 'put' && type !== 'delete' && type !== 'del') {
    throw new TypeError(
      `an update's type must be 'put', 'delete' or 'deleteRange', not ${String(type)}`,
    );
  }
  requireFields(update);
  const condition = conditionOf(update);
  if (update.type === 'put') batch.put(update.key, update.value, update.data, condition);
  else batch.delete(update.key, condition);
}

/**
 * Rejects unknown fields. Otherwise a misspelt condition would be ignored and the update applied.
 */
function requireFields(update: Exclude<Update, { type: 'deleteRange' }>): void {
  for (const name in update) {
    switch (name) {
      case 'type':
      case 'key':
      case 'ifValue':
      case 'ifAbsent':
      case 'ifData':
      case 'ifNewer':
        continue;
      case 'value':
      case 'data':
        if (update.type === 'put') continue;
        throw new TypeError(`a delete must not have the field ${name}`);
      default:
        throw new TypeError(`an update must not have the field ${JSON.stringify(name)}`);
    }
  }
}

/**
 * Packs updates into a batch, in slices. Few updates are packed when it returns. Throws, or rejects
 * with, the errors of `WriteBatch`.
 */
export function packUpdates(updates: Iterable<Update>, pacing: Pacing): Awaitable<WriteBatch> {
  return begin(packing(updates, pacing));
}

/** Like `packUpdates`, synchronously. */
export function packUpdatesNow(updates: Iterable<Update>): WriteBatch {
  return finishAtOnce(packing(updates, undefined));
}

function* packing(updates: Iterable<Update>, pacing: Pacing): Flow<WriteBatch> {
  const batch = new WriteBatch();
  const slices = new WorkSlices(pacing);
  let packed = 0;
  for (const update of updates) {
    pack(batch, update);
    if (++packed % CHECKED_ROWS === 0) yield* slices.rest();
  }
  return batch;
}

/**
 * Converts what a caller passed to what is queued. A batch of another copy of this package is
 * copied now.
 *
 * @throws TypeError if it cannot be a batch
 */
export function toSource(updates: unknown): WriteBatch | Iterable<Update> {
  if (updates instanceof WriteBatch) return updates;
  const isObject = typeof updates === 'object' && updates !== null;
  if (isObject && isForeignBatch(updates)) return takeOver(updates);
  if (isObject && isIterable(updates)) return updates;
  const isAsync = isObject && Symbol.asyncIterator in updates;
  const hint = isAsync ? '; collect an async iterable in an array first' : '';
  throw new TypeError(`a batch must be a WriteBatch or an iterable of updates${hint}`);
}

function isIterable(updates: object): updates is Iterable<Update> {
  return typeof (updates as { [Symbol.iterator]?: unknown })[Symbol.iterator] === 'function';
}

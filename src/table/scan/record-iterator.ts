import type { RecordWalk } from './record-walk.ts';
import type { TableRecord } from '../layer/table-record.ts';

/**
 * What all iterators of the language inherit from, with the helpers that newer versions of it have.
 */
const ITERATOR_PROTOTYPE = Object.getPrototypeOf(
  Object.getPrototypeOf([][Symbol.iterator]()),
) as object;

/**
 * Iterators written out, one class for each shape of result, so that the engine takes `next` into
 * the loop that calls it: the result object then costs nothing. A generator's cannot be taken in.
 */
abstract class WalkIterator<T> implements IterableIterator<T, undefined> {
  protected readonly walk: RecordWalk;

  constructor(walk: RecordWalk) {
    this.walk = walk;
  }

  abstract next(): IteratorResult<T, undefined>;

  return(): IteratorReturnResult<undefined> {
    this.walk.end();
    return { done: true, value: undefined };
  }

  throw(error: unknown): never {
    this.walk.end();
    throw error;
  }

  [Symbol.iterator](): this {
    return this;
  }
}
Object.setPrototypeOf(WalkIterator.prototype, ITERATOR_PROTOTYPE);

export class EntryIterator extends WalkIterator<[bigint, TableRecord]> {
  override next(): IteratorResult<[bigint, TableRecord], undefined> {
    const { walk } = this;
    if (!walk.step()) return { done: true, value: undefined };
    return { done: false, value: [walk.key(), walk.record()] };
  }
}

export class KeyIterator extends WalkIterator<bigint> {
  override next(): IteratorResult<bigint, undefined> {
    const { walk } = this;
    if (!walk.step()) return { done: true, value: undefined };
    return { done: false, value: walk.key() };
  }
}

/** Records without their keys. */
export class RecordIterator extends WalkIterator<TableRecord> {
  override next(): IteratorResult<TableRecord, undefined> {
    const { walk } = this;
    if (!walk.step()) return { done: true, value: undefined };
    return { done: false, value: walk.record() };
  }
}

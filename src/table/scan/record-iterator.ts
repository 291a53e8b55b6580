import { UNSLICED, type Slicing } from './pace.ts';
import type { RecordWalk } from './record-walk.ts';
import type { TableRecord } from '../layer/table-record.ts';

/** The built-in iterator prototype, with the iterator helpers of newer engines. */
const ITERATOR_PROTOTYPE = Object.getPrototypeOf(
  Object.getPrototypeOf([][Symbol.iterator]()),
) as object;

/**
 * Iterates over the records of one point in time. `for` iterates synchronously. `for await` returns
 * the same records in slices of about a millisecond, between which the event loop runs, so it can
 * iterate over millions of records concurrently with other work. It rejects with StoreClosedError
 * when the store is closed. Use an iterator in one of the two ways, and only once.
 */
export interface StoreIterator<T>
  extends IterableIterator<T, undefined>, AsyncIterable<T>, Disposable {}

/**
 * Hand-written iterators, one class per shape of result, so that V8 inlines `next` into the calling
 * loop and does not allocate the result object. It cannot inline generators.
 */
abstract class WalkIterator<T> implements StoreIterator<T> {
  protected readonly walk: RecordWalk;
  readonly #slicing: Slicing;

  constructor(walk: RecordWalk, slicing: Slicing = UNSLICED) {
    this.walk = walk;
    this.#slicing = slicing;
  }

  abstract next(): IteratorResult<T, undefined>;

  /** The result at the current record of the walk. */
  protected abstract current(): T;

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

  /** Releases what the iterator holds, as leaving a `for` loop does. */
  [Symbol.dispose](): void {
    this.walk.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined, undefined> {
    const { walk } = this;
    const { begin, prepare } = this.#slicing;
    try {
      const pace = begin();
      while (prepare()) if (pace.isOver) await pace.next();
      for (let step = walk.stepSome(); step !== 'end'; step = walk.stepSome()) {
        if (step === 'record') {
          yield this.current();
          pace.check();
        }
        if (pace.isOver) await pace.next();
      }
    } finally {
      walk.end();
    }
    return undefined;
  }
}
Object.setPrototypeOf(WalkIterator.prototype, ITERATOR_PROTOTYPE);

export class EntryIterator extends WalkIterator<[bigint, TableRecord]> {
  override next(): IteratorResult<[bigint, TableRecord], undefined> {
    const { walk } = this;
    if (!walk.step()) return { done: true, value: undefined };
    return { done: false, value: [walk.key(), walk.record()] };
  }

  protected override current(): [bigint, TableRecord] {
    return [this.walk.key(), this.walk.record()];
  }
}

export class KeyIterator extends WalkIterator<bigint> {
  override next(): IteratorResult<bigint, undefined> {
    const { walk } = this;
    if (!walk.step()) return { done: true, value: undefined };
    return { done: false, value: walk.key() };
  }

  protected override current(): bigint {
    return this.walk.key();
  }
}

/** Records without their keys. */
export class RecordIterator extends WalkIterator<TableRecord> {
  override next(): IteratorResult<TableRecord, undefined> {
    const { walk } = this;
    if (!walk.step()) return { done: true, value: undefined };
    return { done: false, value: walk.record() };
  }

  protected override current(): TableRecord {
    return this.walk.record();
  }
}

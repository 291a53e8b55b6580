import { PositionExpiredError } from '../../src/base/errors.ts';
import type { LogBounds, LogEntry, SharedLog } from '../../src/replicated/log/shared-log.ts';

/** Mistakes that an adapter may have. */
export interface LogFaults {
  /** Appends at any free position, not only after the end. */
  readonly allowsGaps?: boolean;
  /** Overwrites existing entries. */
  readonly overwrites?: boolean;
  /** Checks the end first and appends later. */
  readonly isNotAtomic?: boolean;
  /** Only checks that the position is free: position 1 can be appended after a trim. */
  readonly forgetsTrims?: boolean;
  /** Returns `appended` at the seventh position without appending. */
  readonly losesOne?: boolean;
  /** Returns `occupied` at the seventh position although it appended. */
  readonly hidesOne?: boolean;
  readonly trimsAll?: boolean;
  readonly trimIsShort?: boolean;
  /** A reader below the first entry starts at the first. */
  readonly skipsTrimmed?: boolean;
  /** Yields its own memory and reuses it. */
  readonly reusesMemory?: boolean;
  /** Keeps the caller's memory. */
  readonly keepsMemory?: boolean;
  readonly endsAtTheEnd?: boolean;
  readonly yieldsTwice?: boolean;
  readonly isUnordered?: boolean;
  readonly cutsLongEntries?: boolean;
  readonly ignoresSignal?: boolean;
  readonly ignoresClose?: boolean;
  readonly boundsCountFromZero?: boolean;
  readonly takesAnyLength?: boolean;
}

/** The entries that the handles share. */
export class MemoryEngine {
  readonly entries: Map<bigint, Uint8Array> = new Map();
  first = 1n;
  last = 0n;
  #waiting: (() => void)[] = [];

  changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

/** A shared log in memory: correct, or with one mistake. */
export class MemoryLog implements SharedLog {
  readonly maxEntryBytes = 64 * 1024;
  readonly #engine: MemoryEngine;
  readonly #faults: LogFaults;
  readonly #closed = new AbortController();

  constructor(engine: MemoryEngine, faults: LogFaults = {}) {
    this.#engine = engine;
    this.#faults = faults;
  }

  async append(
    position: bigint,
    given: Uint8Array,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<'appended' | 'occupied'> {
    const faults = this.#faults;
    this.#check(signal);
    const isBad = position < 1n || given.length > this.maxEntryBytes;
    if (isBad && faults.takesAnyLength !== true) throw new RangeError('out of bounds');
    const entry = faults.keepsMemory === true ? given : given.slice();
    const engine = this.#engine;
    const mayAppend = this.#mayAppend(position);
    if (faults.isNotAtomic === true) await new Promise(setImmediate);
    if (!mayAppend) return 'occupied';
    if (faults.losesOne === true && position === 7n) return 'appended';
    const isCut = faults.cutsLongEntries === true && entry.length > 60_000;
    engine.entries.set(position, isCut ? entry.subarray(0, 60_000) : entry);
    if (position > engine.last) engine.last = position;
    engine.changed();
    return faults.hidesOne === true && position === 7n ? 'occupied' : 'appended';
  }

  #mayAppend(position: bigint): boolean {
    const { entries, last } = this.#engine;
    if (this.#faults.overwrites === true && entries.has(position)) return true;
    if (this.#faults.allowsGaps === true && position > last) return true;
    if (this.#faults.forgetsTrims === true && position === 1n && !entries.has(1n)) return true;
    return position === last + 1n;
  }

  async *read(
    from: bigint,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<LogEntry> {
    const faults = this.#faults;
    this.#check(signal);
    const memory = new Uint8Array(this.maxEntryBytes);
    for (let next = from; ; next++) {
      if (faults.skipsTrimmed === true && next < this.#engine.first) next = this.#engine.first;
      const entry = await this.#entryAt(next, signal);
      if (entry === undefined) return;
      if (faults.reusesMemory === true) memory.set(entry);
      const shown = faults.reusesMemory === true ? memory.subarray(0, entry.length) : entry;
      const isSwapped = faults.isUnordered === true && next === 4n;
      yield { position: isSwapped ? 5n : next, entry: shown };
      if (faults.yieldsTwice === true && next === 3n) yield { position: next, entry: shown };
    }
  }

  async #entryAt(next: bigint, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const engine = this.#engine;
    await new Promise(setImmediate);
    for (;;) {
      this.#check(signal);
      if (this.#closed.signal.aborted) throw new Error('closed');
      if (next < engine.first) {
        const detail = { oldestPosition: engine.first, lastPosition: engine.last };
        throw new PositionExpiredError('trimmed', { position: next, ...detail });
      }
      const entry = engine.entries.get(next);
      if (entry !== undefined) return entry;
      if (this.#faults.endsAtTheEnd === true) return undefined;
      await engine.wait(AbortSignal.any([this.#closed.signal, ...(signal ? [signal] : [])]));
    }
  }

  async bounds(): Promise<LogBounds> {
    this.#check(undefined);
    const { first, last } = this.#engine;
    const shift = this.#faults.boundsCountFromZero === true ? 1n : 0n;
    return await Promise.resolve({ first: first - shift, last: last - shift });
  }

  async trim(upTo: bigint): Promise<void> {
    this.#check(undefined);
    const engine = this.#engine;
    let end = upTo < engine.last || this.#faults.trimsAll === true ? upTo : engine.last - 1n;
    if (this.#faults.trimIsShort === true) end -= 1n;
    for (; engine.first <= end; engine.first++) engine.entries.delete(engine.first);
    await Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#engine.changed();
    await Promise.resolve();
  }

  #check(signal: AbortSignal | undefined): void {
    if (this.#faults.ignoresSignal !== true) signal?.throwIfAborted();
    if (this.#closed.signal.aborted && this.#faults.ignoresClose !== true)
      throw new Error('closed');
  }
}

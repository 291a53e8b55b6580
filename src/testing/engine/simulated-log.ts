import { PositionExpiredError } from '../../base/errors.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type {
  LogBounds,
  LogEntry,
  SharedLog,
  SharedLogOptions,
} from '../../replicated/log/shared-log.ts';
import { Random } from './random.ts';

/** The faults of a simulated engine, as probabilities from 0 to 1 per call. */
export interface SimulatedLogFaults {
  /** The append takes effect, but the caller gets `LogUnavailableError`. */
  readonly lostAcknowledgement?: number | undefined;
  /** The append has no effect, and the caller gets `LogUnavailableError`. */
  readonly refusedAppend?: number | undefined;
  /**
   * The caller of an append gets `LogUnavailableError`, and the append takes effect later if its
   * position is still free then.
   */
  readonly delayedAppend?: number | undefined;
  /** `bounds` returns an earlier end. */
  readonly staleBounds?: number | undefined;
  /** A reader fails and must be opened again. */
  readonly brokenRead?: number | undefined;
  /** A reader gets an entry some turns later than the writer's acknowledgement. */
  readonly laggingRead?: number | undefined;
}

export interface SimulatedLogOptions {
  readonly seed?: number | undefined;
  readonly faults?: SimulatedLogFaults | undefined;
  readonly maxEntryBytes?: number | undefined;
  /** Called where an engine would take time. The default resolves after a turn of microtasks. */
  readonly delay?: (() => Promise<void>) | undefined;
  /** Called for each entry, in order. */
  readonly onAppend?: ((entry: Uint8Array) => void) | undefined;
}

/**
 * A shared log engine in memory, for tests. It keeps the guarantees of `SharedLog` and shows the
 * failures that a real engine may show. `connect` gives each node its own connection, which can be
 * cut.
 */
export class SimulatedLog {
  readonly maxEntryBytes: number;
  readonly #random: Random;
  readonly #delay: () => Promise<void>;
  readonly #onAppend: (entry: Uint8Array) => void;
  readonly #late: { readonly position: bigint; readonly entry: Uint8Array }[] = [];
  #entries: Uint8Array[] = [];
  #first = 1n;
  #waiters: (() => void)[] = [];
  faults: SimulatedLogFaults;

  constructor(options: SimulatedLogOptions = {}) {
    const { seed = 1, faults = {}, maxEntryBytes = 64 * 1024 } = options;
    this.#random = new Random(seed);
    this.#delay = options.delay ?? (() => Promise.resolve());
    this.#onAppend = options.onAppend ?? (() => undefined);
    this.faults = faults;
    this.maxEntryBytes = maxEntryBytes;
  }

  /** The first and the last position, never faulty. */
  get bounds(): LogBounds {
    return { first: this.#first, last: this.#first + BigInt(this.#entries.length) - 1n };
  }

  /** The entry at a position; undefined if there is none. */
  entryAt(position: bigint): Uint8Array | undefined {
    return this.#entries[Number(position - this.#first)];
  }

  /** A connection to the engine. */
  connect(): SimulatedConnection {
    return new SimulatedConnection(this);
  }

  /** Breaks a guarantee: the entries after `position` are lost. */
  lose(position: bigint): void {
    this.#entries = this.#entries.slice(0, Number(position - this.#first + 1n));
    this.#wake();
  }

  /** Draws whether a fault of this probability happens now. */
  chance(probability: number | undefined): boolean {
    return probability !== undefined && this.#random.below(1_000_000) < probability * 1_000_000;
  }

  /** Internal: the append of a connection. */
  async append(position: bigint, entry: Uint8Array): Promise<'appended' | 'occupied'> {
    await this.#delay();
    const { lostAcknowledgement, refusedAppend, delayedAppend } = this.faults;
    if (this.chance(refusedAppend)) throw new LogUnavailableError('refused by the simulation');
    if (this.chance(delayedAppend)) {
      this.#late.push({ position, entry: entry.slice() });
      throw new LogUnavailableError('delayed by the simulation');
    }
    this.#landLate();
    const result = this.#tryAppend(position, entry);
    if (this.chance(lostAcknowledgement)) throw new LogUnavailableError('lost by the simulation');
    await this.#delay();
    return result;
  }

  /** Delayed appends take effect among the others, in random order. */
  #landLate(): void {
    while (this.#late.length > 0 && this.chance(0.5)) {
      const [late] = this.#late.splice(this.#random.below(this.#late.length), 1);
      this.#tryAppend(late!.position, late!.entry);
    }
  }

  #tryAppend(position: bigint, entry: Uint8Array): 'appended' | 'occupied' {
    if (position !== this.bounds.last + 1n) return 'occupied';
    this.#entries.push(entry.slice());
    this.#onAppend(entry);
    this.#wake();
    return 'appended';
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** Internal. Resolves when an entry is appended, or `signal` is aborted. */
  async whenChanged(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.push(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  /** Internal. */
  async hint(): Promise<LogBounds> {
    await this.#delay();
    const { first, last } = this.bounds;
    if (!this.chance(this.faults.staleBounds)) return { first, last };
    const known = last - BigInt(this.#random.below(4));
    return {
      first: first > 1n ? first - 1n : first,
      last: known < first - 1n ? first - 1n : known,
    };
  }

  /** Internal. */
  async trim(upTo: bigint): Promise<void> {
    await this.#delay();
    const { first, last } = this.bounds;
    const end = upTo < last ? upTo : last - 1n;
    if (end < first) return;
    this.#entries = this.#entries.slice(Number(end - first + 1n));
    this.#first = end + 1n;
    this.#wake();
  }

  /** Internal: the faults of a reader after it has waited. */
  async lag(): Promise<void> {
    await this.#delay();
    while (this.chance(this.faults.laggingRead)) await this.#delay();
    if (this.chance(this.faults.brokenRead))
      throw new LogUnavailableError('broken by the simulation');
  }
}

/** One node's connection to a simulated engine. */
export class SimulatedConnection implements SharedLog {
  readonly maxEntryBytes: number;
  readonly #log: SimulatedLog;
  readonly #closing: AbortController = new AbortController();
  /** While set, calls reject with LogUnavailableError and readers end. */
  #cut: AbortController | undefined;

  constructor(log: SimulatedLog) {
    this.#log = log;
    this.maxEntryBytes = log.maxEntryBytes;
  }

  get isCut(): boolean {
    return this.#cut !== undefined;
  }

  /** Makes the engine unreachable until `heal`. */
  cut(): void {
    this.#cut ??= new AbortController();
  }

  heal(): void {
    this.#cut?.abort();
    this.#cut = undefined;
  }

  #requireReachable(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    if (this.#cut !== undefined) throw new LogUnavailableError('the connection is cut');
  }

  async append(
    position: bigint,
    entry: Uint8Array,
    { signal }: SharedLogOptions = {},
  ): Promise<'appended' | 'occupied'> {
    this.#requireReachable(signal);
    if (position < 1n) throw new RangeError('position must be at least 1');
    const { maxEntryBytes } = this;
    if (entry.length === 0 || entry.length > maxEntryBytes) {
      throw new RangeError(`entry must have 1 to ${maxEntryBytes} bytes; it has ${entry.length}`);
    }
    const result = await this.#log.append(position, entry);
    this.#requireReachable(signal);
    return result;
  }

  async *read(from: bigint, { signal }: SharedLogOptions = {}): AsyncGenerator<LogEntry> {
    const ended = AbortSignal.any([
      this.#closing.signal,
      ...(signal === undefined ? [] : [signal]),
    ]);
    for (let position = from; ; position++) {
      let entry: Uint8Array | undefined;
      for (;;) {
        this.#requireReachable(ended);
        await this.#log.lag();
        this.#requireReachable(ended);
        const { first, last } = this.#log.bounds;
        if (position < first) {
          throw new PositionExpiredError(`position ${position} was trimmed`, {
            position,
            oldestPosition: first,
            lastPosition: last,
          });
        }
        entry = this.#log.entryAt(position);
        if (entry !== undefined) break;
        await this.#log.whenChanged(ended);
      }
      yield { position, entry: entry.slice() };
    }
  }

  async bounds({ signal }: SharedLogOptions = {}): Promise<LogBounds> {
    this.#requireReachable(signal);
    const hint = await this.#log.hint();
    this.#requireReachable(signal);
    return hint;
  }

  async trim(upTo: bigint, { signal }: SharedLogOptions = {}): Promise<void> {
    this.#requireReachable(signal);
    await this.#log.trim(upTo);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the connection was closed'));
  }
}

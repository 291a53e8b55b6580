import { PositionExpiredError } from '../../base/errors.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type { LogEntry } from '../../replicated/log/shared-log.ts';
import { MACHINE_CLOCK } from '../../replicated/node/replica-clock.ts';
import type { EtcdAnswer } from './etcd-endpoint.ts';
import type { EtcdGateway } from './etcd-gateway.ts';
import { bytesOf, type EtcdPair, type EtcdRange, type LogKeys } from './etcd-keys.ts';

/** Target size of one page of a range, in base64 characters. */
const PAGE_CHARACTERS = 4 * 1024 * 1024;
const FIRST_PAGE_LIMIT = 16;
/** The pause after a watch that brought nothing. */
const RETRY_MS = 100;
const MAX_PAGE_LIMIT = 2000;

interface WatchAnswer extends EtcdAnswer {
  readonly events?: readonly { readonly type?: 'PUT' | 'DELETE'; readonly kv: EtcdPair }[];
  readonly canceled?: boolean;
}

/**
 * Reads a log: pages of a range to its end, then a watch from the revision of the last page. When
 * the watch ends for any reason (its endpoint failed or was silent for long, the history was
 * compacted, an entry was skipped), ranges read what was missed, and a new watch starts.
 */
export class EtcdReader {
  readonly #gateway: EtcdGateway;
  readonly #keys: LogKeys;
  readonly #signal: AbortSignal;
  #next: bigint;
  #limit = FIRST_PAGE_LIMIT;

  constructor(gateway: EtcdGateway, keys: LogKeys, from: bigint, signal: AbortSignal) {
    this.#gateway = gateway;
    this.#keys = keys;
    this.#next = from === 0n ? 1n : from;
    this.#signal = signal;
  }

  async *entries(): AsyncGenerator<LogEntry> {
    for (;;) {
      const revision = yield* this.#pages();
      const from = this.#next;
      try {
        yield* this.#watched(revision);
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!(error instanceof LogUnavailableError)) throw error;
      }
      // A proxy may end each watch at once.
      if (this.#next === from) await MACHINE_CLOCK.sleep(RETRY_MS, this.#signal);
    }
  }

  /**
   * Yields the existing entries. While the entries of a page are applied, etcd answers the request
   * for the next one. Returns the revision of etcd at which they were the whole log.
   */
  async *#pages(): AsyncGenerator<LogEntry, bigint> {
    let limit = this.#limit;
    let page = this.#range(this.#next, limit);
    for (;;) {
      const range = await page;
      const pairs = range.kvs ?? [];
      const isLast = pairs.length < limit;
      if (!isLast) {
        limit = this.#limit = limitFor(pairs);
        page = this.#range(this.#next + BigInt(pairs.length), limit);
        // Reading may end before the next page is awaited.
        page.catch(() => undefined);
      }
      for (const pair of pairs) {
        if (this.#keys.positionOf(pair.key) !== this.#next) throw await this.#expired();
        yield this.#take(pair);
      }
      if (pairs.length === 0 && this.#next > 1n) await this.#checkStart();
      if (isLast) return BigInt(range.header?.revision ?? 0);
    }
  }

  async *#watched(revision: bigint): AsyncGenerator<LogEntry> {
    const body = {
      create_request: {
        key: this.#keys.of(this.#next),
        range_end: this.#keys.end,
        start_revision: String(revision + 1n),
        filters: ['NODELETE'],
      },
    };
    const answers = this.#gateway.watch<WatchAnswer>({
      path: '/v3/watch',
      body,
      signal: this.#signal,
    });
    for await (const { events, canceled } of answers) {
      if (canceled === true) return;
      for (const { kv } of events ?? []) {
        const position = this.#keys.positionOf(kv.key);
        if (position > this.#next) return;
        if (position === this.#next) yield this.#take(kv);
      }
    }
  }

  #take(pair: EtcdPair): LogEntry {
    const position = this.#next++;
    return { position, entry: bytesOf(pair.value) };
  }

  /**
   * An empty page means the end of the log, or that all of it was trimmed and more was appended.
   */
  async #checkStart(): Promise<void> {
    const first = await this.#firstPosition();
    if (first !== undefined && first > this.#next) throw await this.#expired();
  }

  async #expired(): Promise<PositionExpiredError> {
    const range = await this.#range(0n, 1);
    const [pair] = range.kvs ?? [];
    const first = pair === undefined ? this.#next : this.#keys.positionOf(pair.key);
    const last = first - 1n + BigInt(range.count ?? 0);
    return new PositionExpiredError(
      `position ${this.#next} of the log has been trimmed: it begins at ${first}`,
      { position: this.#next, oldestPosition: first, lastPosition: last },
    );
  }

  async #firstPosition(): Promise<bigint | undefined> {
    const [pair] = (await this.#range(0n, 1)).kvs ?? [];
    return pair === undefined ? undefined : this.#keys.positionOf(pair.key);
  }

  async #range(from: bigint, limit: number): Promise<EtcdRange> {
    const body = {
      key: this.#keys.of(from),
      range_end: this.#keys.end,
      limit: String(limit),
      keys_only: from === 0n,
    };
    const path = '/v3/kv/range';
    return await this.#gateway.call<EtcdRange>({ path, body, signal: this.#signal });
  }
}

/** The number of entries of the next page, if they are as long as these. */
function limitFor(pairs: readonly EtcdPair[]): number {
  const characters = pairs.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
  const perEntry = Math.max(1, characters / pairs.length);
  return Math.min(MAX_PAGE_LIMIT, Math.max(1, Math.floor(PAGE_CHARACTERS / perEntry)));
}

import { onAbort } from '../../base/abort.ts';
import { StoreClosedError } from '../../base/errors.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type {
  LogBounds,
  LogEntry,
  SharedLog,
  SharedLogOptions,
} from '../../replicated/log/shared-log.ts';
import { checkEntry, checkPosition } from '../checks.ts';
import type { EtcdGateway } from './etcd-gateway.ts';
import { base64Of, LogKeys, type EtcdRange, type EtcdTransaction } from './etcd-keys.ts';
import { EtcdReader } from './etcd-reader.ts';

/** A sixth of etcd's default limit (1.5 MiB), which leaves room for base64 and keys. */
const MAX_ENTRY_BYTES = 256 * 1024;

/** Number of entries removed by one transaction: a large removal blocks the whole cluster. */
const TRIM_SLICE = 1000n;

/**
 * A log in etcd: one key per entry. An append is a transaction: if the key of its position does not
 * exist, and the key of the preceding position exists, it puts the entry. For position 1, the log
 * must have no key at all, because after a trim the first keys do not exist. Trims remove from the
 * front, in slices, and never the last entry. The keys are therefore always those of consecutive
 * positions, and the first key and the number of keys give the last position.
 */
export class EtcdLog implements SharedLog {
  readonly maxEntryBytes: number = MAX_ENTRY_BYTES;
  readonly #gateway: EtcdGateway;
  readonly #keys: LogKeys;
  readonly #closed = new AbortController();

  constructor(gateway: EtcdGateway, name: string) {
    this.#gateway = gateway;
    this.#keys = new LogKeys(gateway.options.prefix, name);
  }

  async append(
    position: bigint,
    entry: Uint8Array,
    { signal }: SharedLogOptions = {},
  ): Promise<'appended' | 'occupied'> {
    this.#checkOpen();
    if (checkPosition(position, 'position') === 0n)
      throw new RangeError('position must be at least 1');
    const value = base64Of(checkEntry(entry, MAX_ENTRY_BYTES));
    const body = this.#appendBody(position, value);
    let isRepeated = false;
    const onRetry = (): void => {
      isRepeated = true;
    };
    const call = { path: '/v3/kv/txn', body, signal, onRetry };
    const answer = await this.#gateway.call<EtcdTransaction>(call);
    if (answer.succeeded === true) return 'appended';
    const at = answer.responses?.[0]?.response_range?.kvs?.[0];
    // An attempt whose response was lost. Entries contain a nonce, so equal bytes mean our entry.
    if (at !== undefined) return at.value === value ? 'appended' : 'occupied';
    const { first, last } = this.#boundsOf(answer.responses?.[1]?.response_range ?? {});
    // A trimmed position can never be put again. A position after the end can, once the log reaches
    // it.
    if (position < first || !isRepeated) return 'occupied';
    throw new LogUnavailableError(`the log ends at ${last}; an attempt to append may be under way`);
  }

  async *read(from: bigint, { signal }: SharedLogOptions = {}): AsyncGenerator<LogEntry> {
    this.#checkOpen();
    checkPosition(from, 'from');
    const reading = new AbortController();
    const end = (): void => reading.abort();
    const removals = [this.#closed.signal, signal].map((one) => one && onAbort(one, end));
    if (signal?.aborted === true) end();
    try {
      yield* new EtcdReader(this.#gateway, this.#keys, from, reading.signal).entries();
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      this.#checkOpen();
      throw error;
    } finally {
      for (const remove of removals) remove?.();
      end();
    }
  }

  async bounds({ signal }: SharedLogOptions = {}): Promise<LogBounds> {
    this.#checkOpen();
    const { start, end } = this.#keys;
    const body = { key: start, range_end: end, limit: '1', keys_only: true };
    return this.#boundsOf(
      await this.#gateway.call<EtcdRange>({ path: '/v3/kv/range', body, signal }),
    );
  }

  async trim(upTo: bigint, { signal }: SharedLogOptions = {}): Promise<void> {
    this.#checkOpen();
    checkPosition(upTo, 'upTo');
    const { first, last } = await this.bounds({ signal });
    const end = upTo < last ? upTo : last - 1n;
    if (end < first) return;
    let revision: string | undefined;
    for (let from = first; from <= end; from += TRIM_SLICE) {
      const until = from + TRIM_SLICE - 1n < end ? from + TRIM_SLICE - 1n : end;
      const body = {
        // It exists unless another trim went further: then nothing is left to remove here.
        compare: [existing(this.#keys.of(until + 1n))],
        success: [
          { requestDeleteRange: { key: this.#keys.start, range_end: this.#keys.of(until + 1n) } },
        ],
      };
      const answer = await this.#gateway.call<EtcdTransaction>({
        path: '/v3/kv/txn',
        body,
        signal,
      });
      if (answer.succeeded !== true) break;
      revision = answer.header?.revision;
    }
    if (revision !== undefined && this.#gateway.options.compact)
      await this.#compact(revision, signal);
  }

  close(): Promise<void> {
    this.#closed.abort();
    return Promise.resolve();
  }

  #appendBody(position: bigint, value: string): string {
    const key = this.#keys.of(position);
    const { start, end } = this.#keys;
    const compare =
      position === 1n
        ? [{ ...absent(start), range_end: end }]
        : [absent(key), existing(this.#keys.of(position - 1n))];
    const failure = [
      { requestRange: { key } },
      { requestRange: { key: start, range_end: end, limit: '1', keys_only: true } },
    ];
    // The value is inserted unescaped: base64 needs no escapes, and the value may be long.
    const put = `{"requestPut":{"key":"${key}","value":"${value}"}}`;
    return `{"compare":${JSON.stringify(compare)},"success":[${put}],"failure":${JSON.stringify(failure)}}`;
  }

  #boundsOf({ kvs, count }: EtcdRange): LogBounds {
    const first = kvs?.[0] === undefined ? 1n : this.#keys.positionOf(kvs[0].key);
    return { first, last: first - 1n + BigInt(count ?? 0) };
  }

  /** Frees the space of removed entries. If this fails, a later trim does it. */
  async #compact(revision: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#gateway.call({ path: '/v3/kv/compaction', body: { revision }, signal });
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed.signal.aborted) throw new StoreClosedError('the log is closed');
  }
}

function absent(key: string): object {
  return { key, target: 'CREATE', result: 'EQUAL', create_revision: '0' };
}

function existing(key: string): object {
  return { key, target: 'CREATE', result: 'GREATER', create_revision: '0' };
}

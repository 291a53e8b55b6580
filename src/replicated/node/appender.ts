import { equalBytes } from '../../base/bytes.ts';
import { PositionExpiredError } from '../../base/errors.ts';
import { decodeEntry } from '../log/entry.ts';
import { LogLostError, LogUnavailableError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import type { ReplicaClock } from './replica-clock.ts';

/**
 * The result of an append: the entry at the position is ours or another one, or it is unknown
 * because the position has been trimmed.
 */
export type AppendResult = 'ours' | 'other' | 'trimmed';

export interface AppenderParts {
  readonly log: SharedLog;
  readonly clock: ReplicaClock;
  /** The time after which an entry that must exist but cannot be read counts as lost. */
  readonly lostAfterMs: number;
  /** Called for each failure of the engine. */
  readonly onUnavailable: (error: unknown) => void;
}

/**
 * Appends with a definite result. While the engine does not answer, the same bytes are appended
 * again at the same position, so an earlier attempt that succeeds later is the same entry. If the
 * position is occupied, its entry is read: with our nonce, it is ours. If there is none to read,
 * the log's end was elsewhere at that moment, and the append is repeated too. Clocks only decide
 * when to retry.
 */
export class Appender {
  readonly #parts: AppenderParts;

  constructor(parts: AppenderParts) {
    this.#parts = parts;
  }

  /** Rejects with the signal's reason, with LogLostError, or with a final error of the log. */
  append(
    position: bigint,
    bytes: Uint8Array,
    nonce: Uint8Array,
    signal: AbortSignal,
  ): Promise<AppendResult> {
    const { log } = this.#parts;
    // An entry that cannot be read may not be there: then only another append makes progress.
    return this.#repeat(signal, async () => {
      const answer = await log.append(position, bytes, { signal });
      if (answer === 'appended') return 'ours';
      const found = await this.#entryAt(position, signal, position - 1n);
      if (found === 'trimmed') return 'trimmed';
      const entry = decodeEntry(found);
      const isOurs =
        typeof entry !== 'string' && entry.kind !== 'newer' && equalBytes(entry.nonce, nonce);
      return isOurs ? 'ours' : 'other';
    });
  }

  /** The entry at a position that this node has applied. Rejects as `append`. */
  appliedEntry(position: bigint, signal: AbortSignal): Promise<Uint8Array | 'trimmed'> {
    return this.#repeat(signal, () => this.#entryAt(position, signal, position));
  }

  async #repeat<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await call();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof LogUnavailableError)) throw error;
        this.#parts.onUnavailable(error);
        await this.#parts.clock.sleep(backoffMs(attempt), signal);
      }
    }
  }

  /**
   * The log should have an entry at the position, so a lagging read will return it. It counts as
   * lost if the log then still ends before `least`.
   */
  async #entryAt(
    position: bigint,
    signal: AbortSignal,
    least: bigint,
  ): Promise<Uint8Array | 'trimmed'> {
    const { log, clock, lostAfterMs } = this.#parts;
    const reading = new AbortController();
    const stop = (): void => reading.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const patience = clock.timer(lostAfterMs, () => reading.abort(new Unread()));
    try {
      for await (const { entry } of log.read(position, { signal: reading.signal })) return entry;
      throw new LogUnavailableError(`reading position ${position} ended without an entry`);
    } catch (error) {
      if (error instanceof PositionExpiredError) return 'trimmed';
      if (!(error instanceof Unread)) throw error;
      const { last } = await log.bounds({ signal });
      if (last < least) {
        throw new LogLostError({ position, reason: `the log ends at ${last}` });
      }
      throw new LogUnavailableError(`the entry at position ${position} cannot be read`);
    } finally {
      patience();
      signal.removeEventListener('abort', stop);
    }
  }
}

/** Ends the wait for an entry. */
class Unread extends Error {}

const FIRST_BACKOFF_MS = 20;
const LONGEST_BACKOFF_MS = 1_000;

/** Milliseconds to wait after attempt `attempt`, counted from 0. */
export function backoffMs(attempt: number): number {
  return Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(attempt, 10), LONGEST_BACKOFF_MS);
}

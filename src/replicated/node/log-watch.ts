import { LogLostError, LogUnavailableError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import type { CommittingNode } from './primary-commits.ts';
import type { ReplicaClock } from './replica-clock.ts';

export interface LogWatchParts {
  readonly log: SharedLog;
  readonly clock: ReplicaClock;
  readonly pollMs: number;
  readonly lostAfterMs: number;
  /** Called for each failure of the engine. */
  readonly onUnavailable: (error: unknown) => void;
}

/** Compares the log's end with a node's, which the log must have reached. */
export class LogWatch {
  readonly #parts: LogWatchParts;
  readonly #node: CommittingNode;
  #end = 0n;
  /** For how long the log has seemed to end before the node's state. */
  #shortMs = 0;

  constructor(parts: LogWatchParts, node: CommittingNode) {
    this.#parts = parts;
    this.#node = node;
  }

  /** The highest position that the engine is known to have. */
  get end(): bigint {
    return this.#end;
  }

  /** Looks at the log until the node is closed or has failed. */
  async run(): Promise<void> {
    const { clock, pollMs, onUnavailable } = this.#parts;
    const node = this.#node;
    while (!node.isOver) {
      try {
        await this.#look();
      } catch (error) {
        if (!node.isOver && error instanceof LogUnavailableError) onUnavailable(error);
      }
      await clock.sleep(pollMs, node.signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { log, pollMs, lostAfterMs } = this.#parts;
    const node = this.#node;
    const { position } = node.replica.place;
    const { first, last } = await log.bounds({ signal: node.signal });
    if (last > this.#end) this.#end = last;
    node.replica.noteFirst(first);
    await this.#noteOvertaken(last);
    // The directory's groups are in the log, so there must be more than this.
    const isShort = last < position || (last === position && !node.replica.isVerified);
    this.#shortMs = isShort ? this.#shortMs + pollMs : 0;
    if (this.#shortMs <= lostAfterMs) return;
    const reason = `the log ends at ${last}, before what this store holds`;
    node.fail(new LogLostError({ position, reason }));
  }

  /** Tells a primary that commits nothing that another node has taken over. */
  async #noteOvertaken(last: bigint): Promise<void> {
    const node = this.#node;
    if (!node.isPrimary || last <= node.replica.place.position) return;
    await node.exclusive(async () => {
      if (last > node.replica.chain.place.position) node.depose();
    });
  }
}

import { assert } from '../../base/assert.ts';
import { StoreFullError } from '../../base/errors.ts';
import type { Columns } from '../../format/columns.ts';
import type { Predecessor } from '../../format/file-header.ts';
import type { MergeLog } from '../../jobs/merge.ts';
import type { Table } from '../../table/table.ts';
import type { Committer } from '../commit/committer.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import { MAX_LOGS } from './merge-due.ts';

/** A retry after a lack of space freezes another layer only if there are fewer than this. */
const MAX_FROZEN_LAYERS = 4;
/**
 * With `MAX_LOGS` closed logs, a retry closes the live log only if it has at least the bytes of the
 * closed ones divided by this.
 */
const LEAST_GROWTH = 16;

export interface MergeIntakeParts {
  readonly logs: LogKeeper;
  readonly table: Table;
  readonly committer: Committer;
}

/** Closed logs, oldest first. The table's frozen layers have the same updates. */
export interface Intake {
  readonly logs: readonly MergeLog[];
  readonly last: Predecessor;
}

type State =
  | { readonly kind: 'none' }
  | { readonly kind: 'taken'; readonly intake: Intake }
  /**
   * A merge of the intake has failed. `neededBytes`: the space that it needed but did not find, if
   * known.
   */
  | {
      readonly kind: 'left';
      readonly intake: Intake;
      readonly lackedSpace: boolean;
      readonly neededBytes: number | undefined;
    };

/**
 * The input of a merge. A retry takes the same input as the failed merge, so failures add neither
 * logs nor layers. After a lack of space it also takes newer writes, because these may be deletes
 * that make the next snapshot smaller. That adds one log and one layer, and is bounded: the job
 * folds the layers into one if it lacks space, and with `MAX_LOGS` logs, the live log must have a
 * sixteenth of their size.
 */
export class MergeIntake {
  readonly #parts: MergeIntakeParts;
  #state: State = { kind: 'none' };

  constructor(parts: MergeIntakeParts) {
    this.#parts = parts;
  }

  /** Bytes of all logs that no snapshot has. */
  get unmergedBytes(): number {
    return this.#parts.logs.totalBytes;
  }

  /** Sequence number of the last batch in the logs. */
  get lastSequence(): bigint {
    return this.#parts.logs.lastSequence;
  }

  /** Bytes that the next merge is known to need. Undefined if it will have new input. */
  get neededBytes(): number | undefined {
    if (this.#state.kind !== 'left' || this.#takesMore) return undefined;
    return this.#state.neededBytes;
  }

  /**
   * Resolves with the input of a merge, or undefined if there is nothing to merge. Rejects like
   * `Committer.rotate`.
   */
  async take(): Promise<Intake | undefined> {
    const state = this.#state;
    assert(state.kind !== 'taken', 'merges run one at a time');
    const { table, logs, committer } = this.#parts;
    if (state.kind === 'left' && !this.#takesMore) return this.#takeAgain(state.intake);
    let intake: Intake | undefined;
    try {
      // Called between two groups, so the frozen layers hold exactly what the closed logs hold.
      await committer.rotate(() => {
        if (logs.closedLogs.length === 0) return;
        intake = { logs: [...logs.closedLogs], last: logs.lastClosed };
        table.freeze();
        this.#state = { kind: 'taken', intake };
      });
    } catch (error) {
      if (state.kind !== 'left' || !(error instanceof StoreFullError)) throw error;
      return this.#takeAgain(state.intake);
    }
    return intake;
  }

  #takeAgain(intake: Intake): Intake {
    this.#parts.table.beginMerge();
    this.#state = { kind: 'taken', intake };
    return intake;
  }

  /** The snapshot is in place, and the frozen layers were dropped. */
  complete(): void {
    assert(this.#state.kind === 'taken', 'a merge ends once');
    this.#state = { kind: 'none' };
  }

  /** The merge has failed. `run`: the folded updates of its logs, if it has folded them. */
  leave(reason: {
    readonly lackedSpace: boolean;
    readonly neededBytes?: number | undefined;
    readonly run?: readonly Columns[] | undefined;
  }): void {
    // It failed before the intake, or after the merge was done.
    if (this.#state.kind !== 'taken') return;
    const { intake } = this.#state;
    const { lackedSpace, neededBytes, run } = reason;
    if (run !== undefined) this.#parts.table.replaceFrozen(run);
    this.#state = { kind: 'left', intake, lackedSpace, neededBytes };
  }

  get #takesMore(): boolean {
    const { logs, table } = this.#parts;
    const isLeft = this.#state.kind === 'left' && this.#state.lackedSpace;
    const liveBytes = logs.live?.lengthBytes ?? 0;
    if (!isLeft || liveBytes === 0 || table.frozenLayers >= MAX_FROZEN_LAYERS) return false;
    const closedBytes = logs.totalBytes - liveBytes;
    return logs.closedLogs.length < MAX_LOGS || LEAST_GROWTH * liveBytes >= closedBytes;
  }
}

import { assert } from '../../base/assert.ts';
import { StoreFullError } from '../../base/errors.ts';
import type { Columns } from '../../format/columns.ts';
import type { Predecessor } from '../../format/file-header.ts';
import type { MergeLog } from '../../jobs/merge.ts';
import type { Table } from '../../table/table.ts';
import type { Committer } from '../commit/committer.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import { MAX_LOGS } from './merge-due.ts';

/** A merge that failed for lack of space adds no layer to more than these. */
const MAX_FROZEN_LAYERS = 4;
/**
 * Past `MAX_LOGS` a retry closes the live log only if that is this part of the closed ones, or
 * more.
 */
const LEAST_GROWTH = 16;

export interface MergeIntakeParts {
  readonly logs: LogKeeper;
  readonly table: Table;
  readonly committer: Committer;
}

/** Closed logs, oldest first, and the updates in them, which are frozen in the table: the same. */
export interface Intake {
  readonly logs: readonly MergeLog[];
  readonly last: Predecessor;
}

type State =
  | { readonly kind: 'none' }
  | { readonly kind: 'taken'; readonly intake: Intake }
  /**
   * A merge of it has failed. `neededBytes`: what it needed and did not find, as far as that is
   * known.
   */
  | {
      readonly kind: 'left';
      readonly intake: Intake;
      readonly lackedSpace: boolean;
      readonly neededBytes: number | undefined;
    };

/**
 * What a merge takes in. A retry takes up what the merge that failed has left, so that failures add
 * neither logs nor layers. After a lack of space it also takes in what has been written since,
 * which may be deletes: then the next snapshot is smaller. That adds one log and one layer. So it
 * is bounded: the job folds the layers into one when it finds no room, and past `MAX_LOGS` the logs
 * grow by a sixteenth each time.
 */
export class MergeIntake {
  readonly #parts: MergeIntakeParts;
  #state: State = { kind: 'none' };

  constructor(parts: MergeIntakeParts) {
    this.#parts = parts;
  }

  /**
   * Bytes that the next merge is known to need. Undefined where it has something new to take in.
   */
  get neededBytes(): number | undefined {
    if (this.#state.kind !== 'left' || this.#takesMore) return undefined;
    return this.#state.neededBytes;
  }

  /**
   * Resolves with what is to be merged; undefined where there is nothing. Rejects as
   * `Committer.rotate`.
   */
  async take(): Promise<Intake | undefined> {
    const state = this.#state;
    assert(state.kind !== 'taken', 'merges run one at a time');
    const { table, logs, committer } = this.#parts;
    if (state.kind === 'left' && !this.#takesMore) return this.#takeAgain(state.intake);
    let intake: Intake | undefined;
    try {
      // Exactly between two groups: what is frozen is what the closed logs hold.
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

  /** The snapshot is in its place, and what is frozen has been dropped. */
  complete(): void {
    assert(this.#state.kind === 'taken', 'a merge ends once');
    this.#state = { kind: 'none' };
  }

  /**
   * The merge failed. `run`: the last updates of the logs that it was to take in, where it has
   * folded them.
   */
  leave(reason: {
    readonly lackedSpace: boolean;
    readonly neededBytes?: number | undefined;
    readonly run?: readonly Columns[] | undefined;
  }): void {
    // It failed before anything was taken in, or after it was done.
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

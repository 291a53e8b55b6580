import { onAbort } from '../../base/abort.ts';
import { finishInSlices } from '../../base/steps.ts';
import type { Columns } from '../../format/columns.ts';
import type { IntervalWords } from '../../base/interval-set.ts';
import type { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import type { RowPiece } from '../../replay/row-piece.ts';
import type { ReplayedParts } from '../../table/replayed/replayed-rows.ts';
import type { RecoveredColumns } from '../../table/table.ts';
import {
  holdsStore,
  judgeDirectory,
  noStoreError,
  readDirectoryState,
  requireUndamaged,
  type DirectoryState,
  type LimitLogs,
} from './directory-state.ts';
import { indexPieces } from './index-pieces.ts';
import { loadLogs } from './load-logs.ts';
import { loadAncestorRecords, loadSnapshot, type ChunkedSnapshot } from './load-records.ts';
import type { RecoveryContext } from './recovery-context.ts';
import { coveredChunks, snapshotDeletes } from './snapshot-deletes.ts';
import { readSettled } from './settled-reading.ts';
import type { Verdict } from './verdict.ts';
import { Warming } from './warming.ts';

/** The content of a directory. Reading it changes nothing. */
export interface RecoveredState extends DirectoryState {
  readonly verdict: Verdict;
  /** Records of the snapshot. */
  readonly columns: readonly (Columns | LazyChunk)[];
  /** Rows of the logs, newest layer first. They shadow `columns`. */
  readonly layers: readonly ReplayedParts[];
  /** Number of records of both together. */
  readonly recordCount: number;
  /** Loads the rest of the snapshot if that was deferred. Not started yet. */
  readonly warming: Warming | undefined;
}

/**
 * Reads a directory into columns of records. Changes nothing: `repair` does that afterwards. Of the
 * logs it reads what `limit` leaves.
 *
 * 1. `readDirectoryState` lists the directory. It reads the header and the index of the newest
 *    snapshot, and the sizes of the logs with higher numbers. Older snapshots, logs that the
 *    snapshot contains and temporary files are leftovers and are not read.
 * 2. All newer logs are read, long ones in pieces. Each yields its rows and a scan, which reports
 *    where the log stops being valid, and why. Chunks of the snapshot are read concurrently.
 * 3. `judgeDirectory` decides whether a crash can have caused what the scans report. Broken bytes
 *    at the end of the last log are a torn write, unless a later frame proves that they were
 *    synced. Anything else that is invalid is damage, and ends recovery before any chunk is used.
 * 4. Deletes of intervals become deletes of the snapshot's keys in them (`snapshotDeletes`). Rows
 *    of logs that they cover have become deletes while the logs were read (`settleIntervals`).
 * 5. `indexPieces` indexes the newest row of each key, and counts which keys the snapshot holds.
 *
 * With the lock, nobody else changes the directory. A reader without the lock may see a listing
 * that a merge has made obsolete, or a log in the middle of a write. These look like missing files
 * or damage. So `recoverSettled` repeats all steps from a new listing, and reports a fault only if
 * two consecutive readings find it in the same place. That is sufficient, because a new reading
 * always sees a later state: a log is sealed before its successor holds anything, numbers of logs
 * and snapshots only increase, and a snapshot gets its name before the logs in it are removed.
 *
 * @throws CorruptionError for anything that a crash cannot have caused; system errors unchanged
 */
export async function recover(
  context: RecoveryContext,
  limit?: LimitLogs,
): Promise<RecoveredState> {
  const found = await readDirectoryState(context.fs, context.directory, context);
  const state = (await limit?.(found)) ?? found;
  const recovery = new Recovery(context, state);
  try {
    return await recovery.run();
  } finally {
    await recovery.stop();
  }
}

/**
 * Like `recover`, without the lock: a store may be open in the directory.
 *
 * @throws like `recover`; StoreError LODESTORE_NOT_FOUND; LODESTORE_IO if the directory keeps
 *   changing
 */
export function recoverSettled(
  makeContext: () => RecoveryContext,
  limit?: LimitLogs,
): Promise<RecoveredState> {
  const { directory } = makeContext();
  const read = async (): Promise<RecoveredState> => {
    const recovered = await recover(makeContext(), limit);
    if (!holdsStore(recovered, recovered.verdict)) throw noStoreError(directory);
    return recovered;
  };
  return readSettled(directory, read, () => []);
}

/** The part that the table adopts. */
export function recoveredColumns(state: RecoveredState): RecoveredColumns {
  const { columns, layers, recordCount, snapshot } = state;
  return {
    snapshot: columns,
    layers,
    recordCount,
    // The ancestor's snapshot has no chunks on disk. The first merge replaces everything in memory.
    diskKeys: snapshot?.format === 'lodestore' ? snapshot.file.index.entries : [],
  };
}

class Recovery {
  readonly #outer: RecoveryContext;
  readonly #context: RecoveryContext;
  readonly #state: DirectoryState;
  /** Stops the other jobs when one has failed. */
  readonly #abort: AbortController = new AbortController();
  #stopListening: (() => void) | undefined;
  readonly #passOn = (): void => this.#abort.abort(this.#outer.signal.reason);
  #running: readonly Promise<unknown>[] = [];
  /** Set until it is part of the result. */
  #warming: Warming | undefined;

  constructor(context: RecoveryContext, state: DirectoryState) {
    this.#outer = context;
    this.#context = { ...context, signal: this.#abort.signal };
    this.#state = state;
  }

  async run(): Promise<RecoveredState> {
    const { snapshot, storeId, newer } = this.#state;
    const { signal, progress } = this.#context;
    if (this.#outer.signal.aborted) this.#passOn();
    else this.#stopListening = onAbort(this.#outer.signal, this.#passOn);
    signal.throwIfAborted();
    progress.begin(
      'logs',
      newer.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    );
    const loading = loadLogs(this.#context, newer, storeId);
    // Read concurrently with the logs, but judged after them.
    const chunks = snapshot?.format === 'lodestore' ? this.#loadChunks(snapshot) : undefined;
    this.#running = [loading, chunks ?? loading];
    for (const promise of this.#running) promise.catch(() => undefined);
    const { logs, pieces, intervals } = await loading;
    const verdict = judgeDirectory(this.#state, logs);
    requireUndamaged(verdict);
    progress.begin('snapshot', snapshot?.fileBytes ?? 0);
    const ancestor =
      snapshot?.format === 'ancestor'
        ? await loadAncestorRecords(this.#context, snapshot.path)
        : [];
    const spans = snapshot?.format === 'lodestore' ? snapshot.file.index.entries : ancestor;
    const deletes = await this.#deletesOf(intervals, spans, async () => (await chunks) ?? ancestor);
    const rows = [...deletes, ...pieces];
    const replay = await indexPieces(this.#context, rows, spans);
    const columns = (await chunks) ?? ancestor;
    // To count records exactly, the chunks of all keys in the logs must be loaded.
    await this.#warming?.load(this.#context.runner, signal, replay.touchedChunks);
    const { layers, recordCount } = await replay.count(columns);
    signal.throwIfAborted();
    const warming = this.#warming;
    this.#warming = undefined;
    return { ...this.#state, verdict, columns, layers, recordCount, warming };
  }

  /** Deletes of keys of the snapshot. They are older than the rows of logs. */
  async #deletesOf(
    intervals: IntervalWords,
    spans: readonly { readonly firstKey: bigint; readonly lastKey: bigint }[],
    readChunks: () => Promise<readonly (Columns | LazyChunk)[]>,
  ): Promise<readonly RowPiece[]> {
    if (intervals.length === 0) return [];
    const { runner, signal, pause } = this.#context;
    const columns = await readChunks();
    const covered = await finishInSlices(coveredChunks(intervals, spans), pause);
    await this.#warming?.load(runner, signal, covered);
    return snapshotDeletes(this.#context, intervals, columns);
  }

  /** Resolves when nothing is being read any more. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    this.#abort.abort();
    await Promise.allSettled(this.#running);
    await this.#warming?.stop();
  }

  async #loadChunks(snapshot: ChunkedSnapshot): Promise<readonly (Columns | LazyChunk)[]> {
    const { fs, directory, warm } = this.#context;
    // An older snapshot must not be removed before this one was read completely.
    const isReplacing = this.#state.listing.snapshots.length > 1;
    if (warm !== 'background' || isReplacing)
      return loadSnapshot(this.#context, snapshot, this.#state.storeId);
    this.#warming = await Warming.prepare(fs, directory, snapshot, this.#state.storeId);
    return this.#warming.chunks;
  }
}

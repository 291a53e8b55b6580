import { onAbort } from '../../base/abort.ts';
import type { Columns } from '../../format/columns.ts';
import type { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import { countRecords } from '../../table/base/record-count.ts';
import type { RecoveredColumns } from '../../table/table.ts';
import {
  holdsStore,
  judgeDirectory,
  noStoreError,
  readDirectoryState,
  requireUndamaged,
  type DirectoryState,
} from './directory-state.ts';
import { foldLoaded, loadLogs } from './load-logs.ts';
import { loadAncestorRecords, loadSnapshot, type ChunkedSnapshot } from './load-records.ts';
import { placeUpdates, type PlacedUpdates } from './place-updates.ts';
import type { RecoveryContext } from './recovery-context.ts';
import { touchedChunks } from './touched-chunks.ts';
import { readSettled } from './settled-reading.ts';
import type { Verdict } from './verdict.ts';
import { Warming } from './warming.ts';

/** What a directory holds. Reading it has changed nothing. */
export interface RecoveredState extends DirectoryState {
  readonly verdict: Verdict;
  /** Chunks of the snapshot, and updates that lie between them. */
  readonly columns: readonly (Columns | LazyChunk)[];
  /** All other updates of the logs, folded: they shadow what `columns` hold. */
  readonly updates: readonly Columns[];
  /** Records of both together. */
  readonly recordCount: number;
  /** What reads the rest of the snapshot, where that was put off. Has not been started. */
  readonly warming: Warming | undefined;
}

/**
 * Reads a directory into columns of records. Changes nothing: `repair` does that afterwards.
 *
 * 1. `readDirectoryState` lists the directory. It reads the header and the index of the newest
 *    snapshot, and the sizes of the logs with higher numbers. Older snapshots, logs that the
 *    snapshot contains and temporary files are leftovers and are not read.
 * 2. All newer logs are read, long ones in pieces. Each gives a scan, which says what was seen and
 *    where the log stopped being valid, and a run of its updates. Chunks of the snapshot are read
 *    beside the logs.
 * 3. `judgeDirectory` decides whether a crash can have left what the scans saw. Broken bytes at the
 *    end of the last log are a torn write, unless a later frame proves that they were synced.
 *    Everything else that does not verify is damage, and ends recovery before any chunk is used.
 * 4. The runs are folded, newest update last, and placed between or above the snapshot's chunks.
 *
 * The holder of the lock sees a directory that nobody changes. A reader without the lock may see a
 * listing that a merge has made obsolete, or a log in the middle of a write: both look like a
 * missing file or like damage. `recoverSettled` therefore repeats all steps from a new listing, and
 * believes a fault only when two readings in a row find it in the same place. That suffices: a log
 * is sealed before its successor holds anything, numbers of logs and snapshots only grow, and a
 * snapshot has its name before the logs in it are removed, so a new reading finds a later state.
 * @throws CorruptionError for anything that a crash cannot have left; system errors as they are
 */
export async function recover(context: RecoveryContext): Promise<RecoveredState> {
  const state = await readDirectoryState(context.fs, context.directory, context);
  const recovery = new Recovery(context, state);
  try {
    return await recovery.run();
  } finally {
    await recovery.stop();
  }
}

/**
 * As `recover`, without the lock: a writer may be at work in the directory.
 * @throws as `recover`; StoreError LODESTORE_NOT_FOUND; LODESTORE_IO while the directory changes
 */
export function recoverSettled(makeContext: () => RecoveryContext): Promise<RecoveredState> {
  const { directory } = makeContext();
  const read = async (): Promise<RecoveredState> => {
    const recovered = await recover(makeContext());
    if (!holdsStore(recovered, recovered.verdict)) throw noStoreError(directory);
    return recovered;
  };
  return readSettled(directory, read, () => []);
}

export { damageDetail } from './load-records.ts';
export type { RecoveryContext } from './recovery-context.ts';

/** What the table adopts of it. */
export function recoveredColumns(state: RecoveredState): RecoveredColumns {
  const { columns, updates, recordCount, snapshot } = state;
  return {
    snapshot: columns,
    updates,
    recordCount,
    // The ancestor's snapshot has no chunks: the first merge replaces all that is in memory.
    diskKeys: snapshot?.format === 'lodestore' ? snapshot.file.index.entries : [],
  };
}

class Recovery {
  readonly #outer: RecoveryContext;
  readonly #context: RecoveryContext;
  readonly #state: DirectoryState;
  /** Stops the jobs that run beside one that has failed. */
  readonly #abort: AbortController = new AbortController();
  #stopListening: (() => void) | undefined;
  readonly #passOn = (): void => this.#abort.abort(this.#outer.signal.reason);
  #running: readonly Promise<unknown>[] = [];
  /** Until it is handed over. */
  #warming: Warming | undefined;

  constructor(context: RecoveryContext, state: DirectoryState) {
    this.#outer = context;
    this.#context = { ...context, signal: this.#abort.signal };
    this.#state = state;
  }

  async run(): Promise<RecoveredState> {
    const { snapshot, storeId, newer } = this.#state;
    const { signal, progress, pause = () => Promise.resolve() } = this.#context;
    if (this.#outer.signal.aborted) this.#passOn();
    else this.#stopListening = onAbort(this.#outer.signal, this.#passOn);
    signal.throwIfAborted();
    progress.begin(
      'logs',
      newer.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    );
    const loading = loadLogs(this.#context, newer, storeId);
    // Read beside the logs, but judged after them.
    const chunks = snapshot?.format === 'lodestore' ? this.#loadChunks(snapshot) : undefined;
    this.#running = [loading, chunks ?? loading];
    for (const promise of this.#running) promise.catch(() => undefined);
    const { logs, runs } = await loading;
    const verdict = judgeDirectory(this.#state, logs);
    requireUndamaged(verdict);
    const run = await foldLoaded(this.#context, runs);
    progress.begin('snapshot', snapshot?.fileBytes ?? 0);
    const { columns, updates } = await this.#place(await chunks, run);
    await this.#loadTouched(updates);
    const recordCount = await countRecords(columns, updates, pause);
    signal.throwIfAborted();
    const warming = this.#warming;
    this.#warming = undefined;
    return { ...this.#state, verdict, columns, updates, recordCount, warming };
  }

  /** Resolves when nothing is read any more. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    this.#abort.abort();
    await Promise.allSettled(this.#running);
    await this.#warming?.stop();
  }

  async #loadChunks(snapshot: ChunkedSnapshot): Promise<readonly (Columns | LazyChunk)[]> {
    const { fs, directory, warm } = this.#context;
    // An older snapshot goes only after this one has been read.
    const isReplacing = this.#state.listing.snapshots.length > 1;
    if (warm !== 'background' || isReplacing)
      return loadSnapshot(this.#context, snapshot, this.#state.storeId);
    this.#warming = await Warming.prepare(fs, directory, snapshot, this.#state.storeId);
    return this.#warming.chunks;
  }

  /** Counts records exactly: only its chunk tells whether an update replaces one. */
  async #loadTouched(updates: readonly Columns[]): Promise<void> {
    if (this.#warming === undefined) return;
    const { runner, signal, pause = () => Promise.resolve() } = this.#context;
    const touched = await touchedChunks(this.#warming.chunks, updates, pause);
    await this.#warming.load(runner, signal, touched);
  }

  async #place(
    chunks: readonly (Columns | LazyChunk)[] | undefined,
    run: readonly Columns[],
  ): Promise<PlacedUpdates> {
    if (chunks === undefined) {
      const columns = await loadAncestorRecords(this.#context, this.#state.snapshot?.path, run);
      return { columns, updates: [] };
    }
    const placed = placeUpdates(chunks, run);
    if (chunks.length > 0 || placed.updates.length === 0) return placed;
    // There is nothing that a delete could delete.
    return { columns: await loadAncestorRecords(this.#context, undefined, run), updates: [] };
  }
}

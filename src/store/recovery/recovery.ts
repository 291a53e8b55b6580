import { onAbort } from '../../base/abort.ts';
import type { Columns } from '../../format/columns.ts';
import type { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import type { ReplayedParts } from '../../table/replayed/replayed-rows.ts';
import type { RecoveredColumns } from '../../table/table.ts';
import {
  holdsStore,
  judgeDirectory,
  noStoreError,
  readDirectoryState,
  requireUndamaged,
  type DirectoryState,
} from './directory-state.ts';
import { loadLogs } from './load-logs.ts';
import { loadAncestorRecords, loadSnapshot, type ChunkedSnapshot } from './load-records.ts';
import type { RecoveryContext } from './recovery-context.ts';
import { Replay } from './replay.ts';
import { readSettled } from './settled-reading.ts';
import type { Verdict } from './verdict.ts';
import { Warming } from './warming.ts';

/** What a directory holds. Reading it has changed nothing. */
export interface RecoveredState extends DirectoryState {
  readonly verdict: Verdict;
  /** Records of the snapshot. */
  readonly columns: readonly (Columns | LazyChunk)[];
  /** The rows of the logs, newest first: they shadow what `columns` hold. */
  readonly layers: readonly ReplayedParts[];
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
 *    where the log stopped being valid, and its rows. Chunks of the snapshot are read beside the
 *    logs.
 * 3. `judgeDirectory` decides whether a crash can have left what the scans saw. Broken bytes at the
 *    end of the last log are a torn write, unless a later frame proves that they were synced.
 *    Everything else that does not verify is damage, and ends recovery before any chunk is used.
 * 4. `Replay` indexes the rows, the newest of each key, and counts which keys the snapshot holds.
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

/** What the table adopts of it. */
export function recoveredColumns(state: RecoveredState): RecoveredColumns {
  const { columns, layers, recordCount, snapshot } = state;
  return {
    snapshot: columns,
    layers,
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
    const { signal, progress } = this.#context;
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
    const { logs, pieces } = await loading;
    const verdict = judgeDirectory(this.#state, logs);
    requireUndamaged(verdict);
    progress.begin('snapshot', snapshot?.fileBytes ?? 0);
    const ancestor =
      snapshot?.format === 'ancestor'
        ? await loadAncestorRecords(this.#context, snapshot.path)
        : [];
    const spans = snapshot?.format === 'lodestore' ? snapshot.file.index.entries : ancestor;
    const replay = await Replay.index(this.#context, pieces, spans);
    const columns = (await chunks) ?? ancestor;
    // Counts records exactly: only its chunk tells whether a row replaces one.
    await this.#warming?.load(this.#context.runner, signal, replay.touchedChunks);
    const { layers, recordCount } = await replay.count(columns);
    signal.throwIfAborted();
    const warming = this.#warming;
    this.#warming = undefined;
    return { ...this.#state, verdict, columns, layers, recordCount, warming };
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
}

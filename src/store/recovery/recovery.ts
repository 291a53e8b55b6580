import { onAbort } from '../../base/abort.ts';
import { join } from 'node:path';
import { CorruptionError } from '../../base/errors.ts';
import { listDirectory, type DirectoryListing } from '../../directory/listing.ts';
import type { Columns } from '../../format/columns.ts';
import { logName } from '../../format/file-name.ts';
import type { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import { countRecords } from '../../table/base/record-count.ts';
import type { RecoveredColumns } from '../../table/table.ts';
import { foldLoaded, loadLogs, type LogFile } from './load-logs.ts';
import { loadAncestorRecords, loadSnapshot, type ChunkedSnapshot } from './load-records.ts';
import { placeUpdates, type PlacedUpdates } from './place-updates.ts';
import type { RecoveryContext } from './recovery-context.ts';
import { newestSnapshot, storeIdOf, type SnapshotState } from './snapshot-state.ts';
import { touchedChunks } from './touched-chunks.ts';
import { judgeLogs, type Verdict } from './verdict.ts';
import { Warming } from './warming.ts';

/** What a directory holds. Reading it has changed nothing. */
export interface RecoveredState {
  readonly listing: DirectoryListing;
  readonly snapshot: SnapshotState | undefined;
  readonly storeId: Uint8Array;
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
 * Reads the newest snapshot and all newer logs, in parallel, and folds the logs.
 * @throws CorruptionError for anything that a crash cannot have left; system errors as they are
 */
export async function recover(context: RecoveryContext): Promise<RecoveredState> {
  const { fs, directory } = context;
  const listing = await listDirectory(fs, directory);
  const snapshot = await newestSnapshot(fs, directory, listing);
  const recovery = new Recovery(context, listing, snapshot);
  try {
    return await recovery.run();
  } finally {
    await recovery.stop();
  }
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

/** Numbers of the logs that the snapshot does not contain. */
export function newerLogs(
  listing: DirectoryListing,
  snapshot: { readonly number: number } | undefined,
): number[] {
  const newest = snapshot?.number ?? -1;
  return listing.logs.filter((number) => number > newest);
}

class Recovery {
  readonly #outer: RecoveryContext;
  readonly #context: RecoveryContext;
  readonly #listing: DirectoryListing;
  readonly #snapshot: SnapshotState | undefined;
  readonly #storeId: Uint8Array;
  /** Stops the jobs that run beside one that has failed. */
  readonly #abort: AbortController = new AbortController();
  #stopListening: (() => void) | undefined;
  readonly #passOn = (): void => this.#abort.abort(this.#outer.signal.reason);
  #running: readonly Promise<unknown>[] = [];
  /** Until it is handed over. */
  #warming: Warming | undefined;

  constructor(
    context: RecoveryContext,
    listing: DirectoryListing,
    snapshot: SnapshotState | undefined,
  ) {
    this.#outer = context;
    this.#context = { ...context, signal: this.#abort.signal };
    this.#listing = listing;
    this.#snapshot = snapshot;
    this.#storeId = storeIdOf(snapshot);
  }

  async run(): Promise<RecoveredState> {
    const listing = this.#listing;
    const snapshot = this.#snapshot;
    const storeId = this.#storeId;
    const { directory, signal, progress, pause = () => Promise.resolve() } = this.#context;
    if (this.#outer.signal.aborted) this.#passOn();
    else this.#stopListening = onAbort(this.#outer.signal, this.#passOn);
    const files = await this.#beginLogs();
    signal.throwIfAborted();
    const loading = loadLogs(this.#context, files, storeId);
    // Read beside the logs, but judged after them.
    const chunks = snapshot?.format === 'lodestore' ? this.#loadChunks(snapshot) : undefined;
    this.#running = [loading, chunks ?? loading];
    for (const promise of this.#running) promise.catch(() => undefined);
    const { logs, runs } = await loading;
    const verdict = judgeLogs(directory, snapshot, storeId, logs);
    const [damage] = verdict.damages;
    if (damage !== undefined) throw new CorruptionError(damage);
    const run = await foldLoaded(this.#context, runs);
    progress.begin('snapshot', snapshot?.fileBytes ?? 0);
    const { columns, updates } = await this.#place(await chunks, run);
    await this.#loadTouched(updates);
    const recordCount = await countRecords(columns, updates, pause);
    signal.throwIfAborted();
    const warming = this.#warming;
    this.#warming = undefined;
    return { listing, snapshot, storeId, verdict, columns, updates, recordCount, warming };
  }

  /** Resolves when nothing is read any more. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    this.#abort.abort();
    await Promise.allSettled(this.#running);
    await this.#warming?.stop();
  }

  async #beginLogs(): Promise<LogFile[]> {
    const { fs, directory, progress } = this.#context;
    const files = await Promise.all(
      newerLogs(this.#listing, this.#snapshot).map(async (number) => {
        const path = join(directory, logName(number));
        return { number, path, sizeBytes: (await fs.stat(path)).sizeBytes };
      }),
    );
    const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    progress.begin('logs', totalBytes);
    return files;
  }

  async #loadChunks(snapshot: ChunkedSnapshot): Promise<readonly (Columns | LazyChunk)[]> {
    const { fs, directory, warm } = this.#context;
    // An older snapshot goes only after this one has been read.
    const isReplacing = this.#listing.snapshots.length > 1;
    if (warm !== 'background' || isReplacing)
      return loadSnapshot(this.#context, snapshot, this.#storeId);
    this.#warming = await Warming.prepare(fs, directory, snapshot, this.#storeId);
    return this.#warming.chunks;
  }

  /** The number of records is exact: whether an update replaces one is known only where its chunk is. */
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
      const columns = await loadAncestorRecords(this.#context, this.#snapshot?.path, run);
      return { columns, updates: [] };
    }
    const placed = placeUpdates(chunks, run);
    if (chunks.length > 0 || placed.updates.length === 0) return placed;
    // There is nothing that a delete could delete.
    return { columns: await loadAncestorRecords(this.#context, undefined, run), updates: [] };
  }
}

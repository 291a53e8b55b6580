import { CorruptionError } from '../base/errors.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { finishInSlices } from '../base/steps.ts';
import { nextTurn } from '../base/timers.ts';
import { SLICE_MS, WorkSlices } from '../base/work-slices.ts';
import type { Columns } from '../format/columns.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { Folder, foldChunk } from '../runs/fold.ts';
import { foldParts, type RunPart } from '../runs/interval-deletes.ts';
import { PartPile } from '../runs/part-pile.ts';
import type { JobDamage } from '../jobs/job-context.ts';
import { readAncestorSnapshot } from '../jobs/load-ancestor.ts';
import { scanRun } from '../jobs/scan-run.ts';
import { keysOfSnapshot, type KeySource } from '../jobs/snapshot-keys.ts';
import { keyBound, RunCursor } from '../runs/run-cursor.ts';
import { ChunkReader } from '../snapshot/snapshot-reader.ts';
import { damageHint } from '../store/recovery/advice.ts';
import {
  holdsStore,
  judgeDirectory,
  noStoreError,
  readDirectoryState,
  requireUndamaged,
  type DirectoryState,
} from '../store/recovery/directory-state.ts';
import type { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { readSettled } from '../store/recovery/settled-reading.ts';
import type { SnapshotState } from '../store/recovery/snapshot-state.ts';
import type { LoadedLog } from '../store/recovery/verdict.ts';

interface SourceParts {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly progress: ProgressMeter;
}

/**
 * The records of a directory as recovery would load them, read from its files chunk by chunk. It
 * takes no lock and changes nothing. Memory holds the updates of the logs and one chunk, or the
 * whole snapshot if it is the ancestor's (one frame). If the snapshot is removed during reading, it
 * stays readable, because its file is open.
 */
export class RecordSource {
  readonly #parts: SourceParts;
  readonly #snapshot: SnapshotState | undefined;
  readonly #file: OpenFile | undefined;
  readonly #updates: readonly Columns[];
  readonly lastSequence: bigint;

  private constructor(
    parts: SourceParts,
    snapshot: SnapshotState | undefined,
    file: OpenFile | undefined,
    logs: { readonly updates: readonly Columns[]; readonly lastSequence: bigint },
  ) {
    this.#parts = parts;
    this.#snapshot = snapshot;
    this.#file = file;
    this.#updates = logs.updates;
    this.lastSequence = logs.lastSequence;
  }

  /**
   * Reads and judges the logs, and opens the snapshot.
   *
   * @throws CorruptionError, StoreError as a read-only open of the store would
   */
  static open(parts: SourceParts): Promise<RecordSource> {
    return readSettled(
      parts.directory,
      () => openOnce(parts),
      () => [],
    );
  }

  /** Bytes of the rows in the logs, counting the last row of each key, deletes included. */
  get updateBytes(): number {
    return this.#updates.reduce(
      (sum, { recordCount, data }) => sum + ROW_HEADER_BYTES * recordCount + data.length,
      0,
    );
  }

  static async fromFiles(
    parts: SourceParts,
    snapshot: SnapshotState | undefined,
    logs: { readonly updates: readonly RunPart[]; readonly lastSequence: bigint },
  ): Promise<RecordSource> {
    const file =
      snapshot?.format === 'lodestore' ? await parts.fs.open(snapshot.path, 'r') : undefined;
    try {
      const updates = await foldUpdates(parts, snapshot, file, logs.updates);
      return new RecordSource(parts, snapshot, file, { ...logs, updates });
    } catch (error) {
      await file?.close();
      throw error;
    }
  }

  /**
   * Yields all records in ascending key order. A chunk without updates is left out if `skip`
   * returns true.
   *
   * @throws CorruptionError at an invalid chunk; the signal's reason
   */
  async *chunks(skip?: (entry: IndexEntry) => boolean): AsyncGenerator<Columns, void, void> {
    const snapshot = this.#snapshot;
    this.#parts.progress.begin('snapshot', snapshot?.fileBytes ?? 0);
    const isOurs = snapshot?.format === 'lodestore';
    yield* isOurs && snapshot.file.index.entries.length > 0
      ? this.#foldChunks(snapshot, skip)
      : this.#foldWhole(snapshot?.format === 'ancestor' ? snapshot.path : undefined);
  }

  async *#foldChunks(
    snapshot: Extract<SnapshotState, { format: 'lodestore' }>,
    skip: ((entry: IndexEntry) => boolean) | undefined,
  ): AsyncGenerator<Columns, void, void> {
    const { header, index, fileBytes } = snapshot.file;
    const reader = new ChunkReader(this.#file!, fileBytes, header.storeId, snapshot.number);
    const updates = new RunCursor(this.#updates);
    let folded: Columns[] = [];
    const folder = new Folder((columns) => folded.push(columns));
    const onProgress = this.#parts.progress.part();
    for (const [ordinal, entry] of index.entries.entries()) {
      this.#parts.signal.throwIfAborted();
      const bound = index.entries[ordinal + 1]?.firstKey;
      const isTouched = updates.isBelow(bound === undefined ? undefined : keyBound(bound));
      onProgress(entry.offset + entry.lengthBytes);
      if (!isTouched && skip?.(entry) === true) continue;
      const chunk = await reader.read(entry, ordinal);
      if ('kind' in chunk) throw this.#damage({ ...chunk, path: snapshot.path });
      if (!isTouched) {
        yield chunk;
        continue;
      }
      foldChunk([chunk], updates, bound, folder);
      folder.flush();
      yield* folded;
      folded = [];
    }
  }

  /** For an ancestor's snapshot, or logs without a snapshot. */
  async *#foldWhole(ancestorPath: string | undefined): AsyncGenerator<Columns, void, void> {
    const { fs, signal } = this.#parts;
    const pause = pauseFor(signal);
    const records =
      ancestorPath === undefined ? [] : await readAncestorSnapshot(fs, ancestorPath, signal, pause);
    if (!Array.isArray(records)) throw this.#damage(records);
    let folded: Columns[] = [];
    const folder = new Folder((columns) => folded.push(columns));
    const updates = new RunCursor(this.#updates);
    for (const [i, chunk] of records.entries()) {
      foldChunk([chunk], updates, records[i + 1]?.firstKey, folder);
      yield* folded;
      folded = [];
      await pause();
    }
    while (!updates.done) {
      folder.applyChunk(updates, undefined);
      yield* folded;
      folded = [];
      await pause();
    }
    folder.flush();
    yield* folded;
  }

  #damage(damage: JobDamage): CorruptionError {
    return damageError(damage, this.#parts.directory);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

/**
 * Gives the event loop a turn when the slice of the work is over, so that an interrupt is handled.
 * Throws the signal's reason.
 */
function pauseFor(signal: AbortSignal): () => Promise<void> | undefined {
  const slices = new WorkSlices({ pause: nextTurn, sliceMs: SLICE_MS });
  return () => {
    signal.throwIfAborted();
    return slices.pauseIfDue();
  };
}

function damageError({ path, offset, reason }: JobDamage, directory: string): CorruptionError {
  return new CorruptionError({ path, offset, reason, hint: damageHint(directory) });
}

/** One update of each key: what deletes an interval needs the snapshot's keys. */
async function foldUpdates(
  { fs, directory, signal }: SourceParts,
  snapshot: SnapshotState | undefined,
  file: OpenFile | undefined,
  updates: readonly RunPart[],
): Promise<Columns[]> {
  let source: KeySource = { entries: [], reader: undefined, records: [] };
  const hasIntervals = updates.length > 1;
  if (snapshot?.format === 'lodestore') {
    const { header, index, fileBytes } = snapshot.file;
    const reader = new ChunkReader(file!, fileBytes, header.storeId, snapshot.number);
    source = { ...source, entries: index.entries, reader };
  } else if (snapshot !== undefined && hasIntervals) {
    const records = await readAncestorSnapshot(fs, snapshot.path, signal, pauseFor(signal));
    if (!Array.isArray(records)) throw damageError(records, directory);
    source = { ...source, records };
  }
  const folded = await foldParts(updates, keysOfSnapshot(source, snapshot?.path ?? ''));
  if (!Array.isArray(folded)) throw damageError(folded, directory);
  return folded;
}

async function openOnce(parts: SourceParts): Promise<RecordSource> {
  const { fs, directory } = parts;
  const state = await readDirectoryState(fs, directory);
  const { logs, updates } = await loadLogs(parts, state);
  const verdict = judgeDirectory(state, logs);
  requireUndamaged(verdict);
  if (!holdsStore(state, verdict)) throw noStoreError(directory);
  const { lastSequence } = verdict.last;
  return RecordSource.fromFiles(parts, state.snapshot, { updates, lastSequence });
}

async function loadLogs(
  { fs, signal, progress }: SourceParts,
  { newer, storeId }: DirectoryState,
): Promise<{ readonly logs: LoadedLog[]; readonly updates: readonly RunPart[] }> {
  progress.begin(
    'logs',
    newer.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  const logs: LoadedLog[] = [];
  const pile = new PartPile();
  const pause = pauseFor(signal);
  for (const { number, path } of newer) {
    const onProgress = progress.part();
    const { scan, parts } = await scanRun(fs, path, {
      number,
      storeId,
      signal,
      onProgress,
      pause,
    });
    logs.push({ number, path, scan });
    await finishInSlices(pile.add(parts), pause);
  }
  return { logs, updates: await finishInSlices(pile.finish(), pause) };
}

import { assert } from '../base/assert.ts';
import { CHUNK_TARGET_RECORDS, MAX_U64 } from '../base/limits.ts';
import { finishInSlices } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import { sumOfColumns } from '../format/columns-sum.ts';
import { ContentSum } from '../format/content-sum.ts';
import type { Predecessor } from '../format/file-header.ts';
import type { IndexEntry } from '../format/snapshot-index.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { unlinkIfThere } from '../fs/unlink.ts';
import type { RawChunk } from '../snapshot/snapshot-reader.ts';
import { SnapshotWriter, type WrittenSnapshot } from '../snapshot/snapshot-writer.ts';
import { buffersOf } from '../runs/column-buffers.ts';
import { Folder } from '../runs/fold.ts';
import { estimateSnapshot } from './estimate-snapshot.ts';
import { withAbortingPauses, type JobContext, type JobDamage } from './job-context.ts';
import { openMergeSource, type MergeSource, type OldSnapshot } from './merge-source.ts';
import { foldParts, type RunPart } from '../runs/interval-deletes.ts';
import { PartPile } from '../runs/part-pile.ts';
import { keyBound, RunCursor, type KeyBound } from '../runs/run-cursor.ts';
import { scanRun } from './scan-run.ts';
import { keysOfSnapshot } from './snapshot-keys.ts';
import { verifyWritten } from './verify-written.ts';

/** A closed log to merge. Its content is known, because the store wrote or read it. */
export interface MergeLog {
  readonly path: string;
  readonly number: number;
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
}

export interface MergeJob {
  readonly kind: 'merge';
  readonly snapshot: OldSnapshot | undefined;
  /** Ascending by number. */
  readonly logs: readonly MergeLog[];
  readonly storeId: Uint8Array;
  readonly epoch: number;
  /** The last log of `logs`, as the next log refers to it. */
  readonly last: Predecessor;
  /** Number of the new snapshot. `temporaryPath` is where it is written. */
  readonly number: number;
  readonly temporaryPath: string;
  /** Limit of the bytes to write. Undefined if there is space for the size of the old files. */
  readonly limitBytes: number | undefined;
}

/** The replacement of chunks [from, to) of the old snapshot, including the key gaps around them. */
export interface MergedChunks {
  readonly from: number;
  readonly to: number;
  readonly columns: readonly Columns[];
  /**
   * False if more parts follow for the last gap. These columns then cover it only up to their last
   * key.
   */
  readonly isWhole: boolean;
}

export type MergeResult =
  | {
      readonly kind: 'merged';
      readonly written: WrittenSnapshot;
      readonly copiedChunks: number;
      readonly copiedBytes: number;
      readonly encodedChunks: number;
      readonly encodedBytes: number;
    }
  /** Nothing was written, for lack of space. `run`: the folded logs. */
  | { readonly kind: 'no-room'; readonly neededBytes: number; readonly run: readonly Columns[] }
  | JobDamage;

/** A rewritten chunk with fewer records is merged with the next one. */
const SMALL_CHUNK_RECORDS: number = CHUNK_TARGET_RECORDS / 4;

/** Chunks per message. Receiving them takes the main thread a fraction of a millisecond. */
const PART_CHUNKS = 16;

/** Bytes between progress reports, each of which is a message between threads. */
const REPORT_BYTES: number = 4 * 1024 * 1024;

/**
 * Writes the next snapshot under its temporary name, syncs it and reads it back. It does not touch
 * old files or the final name. On any failure it removes the temporary file.
 */
export async function merge(
  fs: FileSystem,
  job: MergeJob,
  given: JobContext<MergedChunks>,
): Promise<MergeResult> {
  const context = withAbortingPauses(given);
  const parts = await loadLogs(fs, job.logs, job.storeId, context);
  if (!Array.isArray(parts)) return parts;
  try {
    const result = await writeSnapshot(fs, job, parts, context);
    if (result.kind === 'corrupt') await unlinkIfThere(fs, job.temporaryPath);
    return result;
  } catch (error) {
    await unlinkIfThere(fs, job.temporaryPath).catch(() => undefined);
    throw error;
  }
}

/**
 * Reads the logs from disk and folds what lies between two deletes of intervals. Any difference
 * from what was acknowledged is damage.
 */
async function loadLogs(
  fs: FileSystem,
  logs: readonly MergeLog[],
  storeId: Uint8Array,
  context: JobContext<MergedChunks>,
): Promise<RunPart[] | JobDamage> {
  const pile = new PartPile();
  let bytesBefore = 0;
  for (const log of logs) {
    const { scan, parts } = await scanRun(fs, log.path, {
      number: log.number,
      storeId,
      onProgress: (bytes) => context.onProgress(bytesBefore + bytes),
      signal: context.signal,
      pause: context.pause,
    });
    const isWhole = scan.ending.kind === 'sealed' || scan.ending.kind === 'end';
    const isAsAcknowledged =
      isWhole && scan.validBytes === log.lengthBytes && scan.lastSequence === log.lastSequence;
    if (!isAsAcknowledged) {
      const { ending } = scan;
      const reason =
        'reason' in ending ? ending.reason : 'the log differs from what was acknowledged';
      const offset = 'offset' in ending ? ending.offset : scan.validBytes;
      return { kind: 'corrupt', path: log.path, offset, reason };
    }
    await finishInSlices(pile.add(parts), context.pause);
    bytesBefore += log.lengthBytes;
  }
  return finishInSlices(pile.finish(), context.pause);
}

async function writeSnapshot(
  fs: FileSystem,
  job: MergeJob,
  parts: readonly RunPart[],
  context: JobContext<MergedChunks>,
): Promise<MergeResult> {
  const isOurs = job.snapshot?.format === 'lodestore';
  const sourceFile = isOurs ? await fs.open(job.snapshot.path, 'r') : undefined;
  try {
    const source = await openMergeSource(sourceFile, fs, job, context);
    if ('kind' in source) return source;
    const keys = keysOfSnapshot(source, job.snapshot?.path ?? '', context.pause);
    const run = await foldParts(parts, keys, context.pause);
    if (!Array.isArray(run)) return run;
    const { limitBytes = Infinity } = job;
    const estimate = estimateSnapshot(source, run, job.logs);
    const isLimited = limitBytes < Infinity;
    const neededBytes = isLimited ? await finishInSlices(estimate, context.pause) : 0;
    if (neededBytes > limitBytes) return { kind: 'no-room', neededBytes, run };
    await unlinkIfThere(fs, job.temporaryPath);
    const target = await fs.open(job.temporaryPath, 'wx');
    try {
      const writer = new SnapshotWriter(target, {
        kind: 'snapshot',
        storeId: job.storeId,
        number: job.number,
        epoch: job.epoch,
        predecessor: job.last,
      });
      const merger = new ChunkMerger(job, source, run, writer, context);
      const damage = await merger.run();
      if (damage !== undefined) return damage;
      const written = await writer.finish();
      const { copiedChunks, copiedBytes, encodedChunks, encodedBytes } = merger;
      return (
        (await verifyWritten(target, job, written, context.signal)) ?? {
          kind: 'merged',
          written,
          copiedChunks,
          copiedBytes,
          encodedChunks,
          encodedBytes,
        }
      );
    } finally {
      await target.close();
    }
  } finally {
    await sourceFile?.close();
  }
}

/** Whether each chunk, including the gap after it, has an update. */
function touchesAll(run: readonly Columns[], entries: readonly IndexEntry[]): boolean {
  const updates = new RunCursor(run);
  return entries.every((_, i) => {
    const bound = entries[i + 1]?.firstKey;
    if (updates.countBelow(bound) === 0) return false;
    if (bound !== undefined) updates.skipBelow(bound);
    return true;
  });
}

/** Goes through the old chunks: copies those without updates and folds the others. */
class ChunkMerger {
  readonly #job: MergeJob;
  readonly #source: MergeSource;
  readonly #updates: RunCursor;
  readonly #writer: SnapshotWriter;
  readonly #context: JobContext<MergedChunks>;
  readonly #folder: Folder;
  /**
   * False if every old chunk has updates. Then no chunk is copied, and the content hash of copied
   * chunks is not needed.
   */
  readonly #hasCopied: boolean;
  /**
   * Content hash of the copied chunks. It starts as the hash of the old snapshot, from which
   * decoded chunks are subtracted. If that hash is unknown, copied chunks are added instead.
   */
  readonly #copiedContent: ContentSum;
  #folded: Columns[] = [];
  /** First old chunk of the group being folded. -1 between groups. */
  #groupFrom = -1;
  copiedChunks = 0;
  copiedBytes = 0;
  encodedChunks = 0;
  encodedBytes = 0;
  #reportedBytes = 0;

  constructor(
    job: MergeJob,
    source: MergeSource,
    run: readonly Columns[],
    writer: SnapshotWriter,
    context: JobContext<MergedChunks>,
  ) {
    this.#job = job;
    this.#source = source;
    this.#updates = new RunCursor(run);
    this.#writer = writer;
    this.#context = context;
    this.#hasCopied = !touchesAll(run, source.entries);
    this.#copiedContent = new ContentSum(this.#hasCopied ? source.contentHash : 0n);
    this.#folder = new Folder((columns) => this.#folded.push(columns));
  }

  async run(): Promise<JobDamage | undefined> {
    const { entries, records } = this.#source;
    for (let i = 0; i < entries.length; i++) {
      await this.#context.pause?.();
      const damage = await this.#step(i, entries[i]!, entries[i + 1]?.firstKey);
      if (damage !== undefined) return damage;
      this.#report(entries[i]!);
    }
    if (entries.length === 0) {
      this.#groupFrom = 0;
      await this.#fold(records, undefined, 0);
      await this.#endGroup(0);
    }
    this.#writer.addCopiedContent(this.#copiedContent);
    assert(this.#updates.done && this.#folder.pendingRecords === 0, 'every update is written');
    return undefined;
  }

  async #step(
    ordinal: number,
    entry: IndexEntry,
    bound: bigint | undefined,
  ): Promise<JobDamage | undefined> {
    const updateCount = this.#updates.countBelow(bound);
    const reader = this.#source.reader!;
    const raw = await reader.readRaw(entry, ordinal);
    if (raw.kind === 'corrupt') return { ...raw, path: this.#job.snapshot!.path };
    if (updateCount === 0 && this.#folder.pendingRecords === 0) {
      if (this.#groupFrom >= 0) await this.#endGroup(ordinal);
      return this.#copy(entry, raw);
    }
    const columns = reader.decode(raw, entry);
    if ('kind' in columns) return { ...columns, path: this.#job.snapshot!.path };
    if (this.#hasCopied && this.#source.contentHash !== undefined) {
      this.#copiedContent.subtract(sumOfColumns(columns));
    }
    if (this.#groupFrom < 0) this.#groupFrom = ordinal;
    this.#splitEvenly(columns.recordCount + updateCount, bound === undefined);
    await this.#fold([columns], bound, ordinal + 1);
    const isSmall = this.#folded.length === 0 && this.#folder.pendingRecords < SMALL_CHUNK_RECORDS;
    if (!isSmall || bound === undefined) await this.#endGroup(ordinal + 1);
    return undefined;
  }

  /**
   * Folds the updates below `bound` into `older`. After the last older key there are only updates,
   * of any number: they are written and sent in parts.
   */
  async #fold(older: readonly Columns[], bound: bigint | undefined, to: number): Promise<void> {
    const end = bound === undefined ? undefined : keyBound(bound);
    const lastKey = older.at(-1)?.lastKey;
    if (lastKey !== undefined) {
      const behind = lastKey === MAX_U64 ? undefined : keyBound(lastKey + 1n);
      this.#folder.apply(new RunCursor(older), this.#updates, behind);
    }
    // Pending records may include older ones, and belong to the first part.
    let leastChunks = Math.max(PART_CHUNKS, this.#folded.length + 1);
    while (this.#updates.isBelow(end)) {
      await this.#context.pause?.();
      this.#foldChunkOfUpdates(end);
      if (this.#folded.length < leastChunks) continue;
      await this.#handOver(to, false);
      leastChunks = PART_CHUNKS;
    }
  }

  /** Takes a chunk that has only updates unchanged, unless a small chunk is pending before it. */
  #foldChunkOfUpdates(end: KeyBound | undefined): void {
    const { pendingRecords } = this.#folder;
    const isSmall = pendingRecords > 0 && pendingRecords < SMALL_CHUNK_RECORDS;
    const whole = isSmall ? undefined : this.#updates.takeWholeChunk(end);
    if (whole !== undefined) {
      this.#folder.appendWhole(whole);
      return;
    }
    if (isSmall && end === undefined) {
      // Makes two equal chunks of the small one and this one, so that later chunks can be taken
      // unchanged.
      this.#splitEvenly(this.#updates.chunk.columns.recordCount, false);
    }
    this.#folder.applyChunk(this.#updates, end);
    if (end === undefined) this.#splitEvenly(0, true);
  }

  /** Progress in bytes: the logs have been read before the snapshot. */
  #report({ offset, lengthBytes }: IndexEntry): void {
    const readBytes = offset + lengthBytes;
    if (readBytes - this.#reportedBytes < REPORT_BYTES) return;
    this.#reportedBytes = readBytes;
    const logBytes = this.#job.logs.reduce((sum, log) => sum + log.lengthBytes, 0);
    this.#context.onProgress(logBytes + readBytes);
  }

  /**
   * A chunk that grew in the middle is split into chunks of equal size. At the end, chunks are
   * filled.
   */
  #splitEvenly(addedRecords: number, isLast: boolean): void {
    const total = this.#folder.pendingRecords + addedRecords;
    const chunkCount = Math.max(1, Math.ceil(total / CHUNK_TARGET_RECORDS));
    this.#folder.limitRecords = isLast ? CHUNK_TARGET_RECORDS : Math.ceil(total / chunkCount);
  }

  async #copy(entry: IndexEntry, raw: RawChunk): Promise<JobDamage | undefined> {
    if (this.#source.contentHash === undefined) {
      const columns = this.#source.reader!.decode(raw, entry);
      if ('kind' in columns) return { ...columns, path: this.#job.snapshot!.path };
      this.#copiedContent.add(sumOfColumns(columns));
    }
    assert(this.#hasCopied, 'a chunk that no update touches was foreseen');
    await this.#writer.copyChunk({ ...entry, payload: raw.payload, header: raw.header });
    this.copiedChunks++;
    this.copiedBytes += entry.lengthBytes;
    return undefined;
  }

  async #endGroup(to: number): Promise<void> {
    this.#folder.flush();
    await this.#handOver(to, true);
    this.#groupFrom = -1;
  }

  /**
   * Writes the finished chunks and sends them to the main thread. The next part begins at old chunk
   * `to`.
   */
  async #handOver(to: number, isWhole: boolean): Promise<void> {
    const columns = this.#folded;
    this.#folded = [];
    const before = this.#writer.lengthBytes;
    for (const chunk of columns) {
      await this.#context.pause?.();
      await this.#writer.writeChunk(chunk);
    }
    this.encodedBytes += this.#writer.lengthBytes - before;
    this.encodedChunks += columns.length;
    const transfer = buffersOf(columns);
    this.#context.send({ from: this.#groupFrom, to, columns, isWhole }, transfer);
    this.#groupFrom = to;
  }
}

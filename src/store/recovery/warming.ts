import { CorruptionError, StoreClosedError, StoreError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import type { Columns } from '../../format/columns.ts';
import type { IndexEntry } from '../../format/snapshot-index.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { ChunkReader } from '../../snapshot/snapshot-reader.ts';
import { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import { damageDetail, rangeJob, type ChunkedSnapshot } from './load-records.ts';

/**
 * Chunks of one job. Small, so that few are read twice because somebody has asked for them
 * meanwhile.
 */
const JOB_CHUNKS = 16;

export interface WarmingHooks {
  /**
   * A chunk has turned out to be damaged, or unreadable: once for each, in reads or in the
   * background.
   */
  readonly onDamaged: (error: StoreError) => void;
  /** All chunks are in memory. */
  readonly onWarmed: () => void;
}

const NO_HOOKS: WarmingHooks = { onDamaged: () => undefined, onWarmed: () => undefined };

/**
 * A snapshot whose chunks come into memory after the store has been opened: each when a read first
 * asks for it, and the others in the background, in order. The file is held open until all are
 * there, so that it may lose its name meanwhile.
 */
export class Warming {
  readonly chunks: readonly LazyChunk[];
  readonly #directory: string;
  readonly #snapshot: ChunkedSnapshot;
  readonly #storeId: Uint8Array;
  readonly #file: OpenFile;
  readonly #reader: ChunkReader;
  readonly #abort: AbortController = new AbortController();
  readonly #failed: Map<number, StoreError> = new Map();
  #hooks: WarmingHooks = NO_HOOKS;
  #done: Promise<void> | undefined;
  #isFileOpen = true;

  private constructor(
    directory: string,
    snapshot: ChunkedSnapshot,
    storeId: Uint8Array,
    file: OpenFile,
  ) {
    this.#directory = directory;
    this.#snapshot = snapshot;
    this.#storeId = storeId;
    this.#file = file;
    this.#reader = new ChunkReader(file, snapshot.fileBytes, storeId, snapshot.number, {
      memory: 'shared',
    });
    this.chunks = snapshot.file.index.entries.map(
      (entry, ordinal) => new LazyChunk(entry, () => this.#read(entry, ordinal)),
    );
  }

  /** Holds the snapshot's file open; nothing of its chunks is read yet. */
  static async prepare(
    fs: FileSystem,
    directory: string,
    snapshot: ChunkedSnapshot,
    storeId: Uint8Array,
  ): Promise<Warming> {
    return new Warming(directory, snapshot, storeId, await fs.open(snapshot.path, 'r'));
  }

  get chunksLeft(): number {
    return this.chunks.reduce((left, chunk) => left + (chunk.loaded === undefined ? 1 : 0), 0);
  }

  /**
   * Resolves when all chunks are in memory. Rejects with the first damage once all others are, or
   * with StoreClosedError where the store was closed before.
   */
  get warmed(): Promise<void> {
    return this.#done ?? Promise.resolve();
  }

  /** Decodes these chunks before anything is read from the table. Rejects as opening does. */
  async load(runner: JobRunner, signal: AbortSignal, ordinals: readonly number[]): Promise<void> {
    await this.#loadRanges(runner, signal, rangesOf(ordinals));
    const [failure] = this.#failed.values();
    if (failure !== undefined) throw failure;
  }

  /**
   * Begins to read what is left after `pause`: starting threads holds up the caller, who has waited
   * for its first read. The runner is closed when all is read, or that has been stopped.
   */
  start(makeRunner: () => JobRunner, pause: () => Promise<void>, hooks: WarmingHooks): void {
    this.#hooks = hooks;
    this.#done = pause().then(() => {
      this.#abort.signal.throwIfAborted();
      return this.#warm(makeRunner());
    });
    this.#done.catch(() => undefined);
  }

  /** Stops reading in the background and lets go of the file. */
  async stop(): Promise<void> {
    this.#abort.abort(new StoreClosedError('the store was closed before all of it was read'));
    await this.#done?.catch(() => undefined);
    await this.#closeFile();
  }

  async #warm(runner: JobRunner): Promise<void> {
    const { signal } = this.#abort;
    try {
      await this.#loadRanges(runner, signal, rangesOf(this.chunks.keys()));
    } finally {
      await runner.close();
    }
    const [failure] = this.#failed.values();
    // A chunk that cannot be read is asked for again at each read.
    if (failure !== undefined) throw failure;
    await this.#closeFile();
    this.#hooks.onWarmed();
  }

  /** In order, as many at a time as can be read at a time. */
  async #loadRanges(
    runner: JobRunner,
    signal: AbortSignal,
    ranges: Iterable<readonly [number, number]>,
  ): Promise<void> {
    const left = ranges[Symbol.iterator]();
    const lane = async (): Promise<void> => {
      for (let next = left.next(); next.done !== true; next = left.next()) {
        signal.throwIfAborted();
        await this.#loadRange(runner, signal, ...next.value);
      }
    };
    await Promise.all(Array.from({ length: runner.parallelism }, lane));
    signal.throwIfAborted();
  }

  async #loadRange(
    runner: JobRunner,
    signal: AbortSignal,
    from: number,
    to: number,
  ): Promise<void> {
    const range = this.chunks.slice(from, to);
    if (range.every((chunk) => chunk.loaded !== undefined)) return;
    const entries = this.#snapshot.file.index.entries.slice(from, to);
    const job = rangeJob(this.#snapshot, this.#storeId, from, entries);
    const result = await runner.run(job, { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      return error as Error;
    });
    if ('kind' in result && result.kind === 'chunks') {
      result.chunks.forEach((columns, i) => range[i]!.adopt(columns));
      return;
    }
    // One of them cannot be read: the others can.
    for (const chunk of range) this.#try(chunk);
  }

  #try(chunk: LazyChunk): void {
    try {
      void chunk.chunk;
    } catch {
      // Noted where it was read.
    }
  }

  #read(entry: IndexEntry, ordinal: number): Columns {
    if (!this.#isFileOpen) throw new StoreClosedError();
    try {
      const columns = this.#reader.readSync(entry, ordinal);
      if (!('kind' in columns)) return columns;
      const damage = { ...columns, path: this.#snapshot.path };
      throw new CorruptionError(damageDetail(this.#directory, damage));
    } catch (error) {
      throw this.#note(ordinal, error);
    }
  }

  #note(ordinal: number, error: unknown): unknown {
    const { path } = this.#snapshot;
    const failure = storeErrorOf(error, { what: 'the snapshot could not be read', path });
    if (failure instanceof StoreError && !this.#failed.has(ordinal)) {
      this.#failed.set(ordinal, failure);
      this.#hooks.onDamaged(failure);
    }
    return failure;
  }

  async #closeFile(): Promise<void> {
    if (!this.#isFileOpen) return;
    this.#isFileOpen = false;
    await this.#file.close();
  }
}

/** Neighbouring ordinals as ranges [from, to) of a job's length at most. */
function rangesOf(ordinals: Iterable<number>): [number, number][] {
  const ranges: [number, number][] = [];
  for (const ordinal of ordinals) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === ordinal && ordinal - last[0] < JOB_CHUNKS) last[1]++;
    else ranges.push([ordinal, ordinal + 1]);
  }
  return ranges;
}

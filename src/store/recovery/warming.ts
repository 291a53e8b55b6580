import { CorruptionError, StoreClosedError, StoreError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import type { Columns } from '../../format/columns.ts';
import type { IndexEntry } from '../../format/snapshot-index.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { ChunkReader } from '../../snapshot/snapshot-reader.ts';
import { LazyChunk } from '../../table/chunk/lazy-chunk.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import { damageDetail, rangeJob, type ChunkedSnapshot } from './load-records.ts';

/** Chunks per job. Few, because chunks that reads have loaded meanwhile are loaded twice. */
const JOB_CHUNKS = 16;

export interface WarmingHooks {
  /**
   * Called once for each chunk that is damaged or unreadable, whether a read or the background load
   * finds it.
   */
  readonly onDamaged: (error: StoreError) => void;
  /** Called when all chunks are in memory. */
  readonly onWarmed: () => void;
}

const NO_HOOKS: WarmingHooks = { onDamaged: () => undefined, onWarmed: () => undefined };

/**
 * A snapshot whose chunks are loaded after the open: each at its first read, the others in the
 * background, in order. The file stays open until all are loaded, so it may be removed meanwhile.
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

  /** Opens the snapshot's file. Reads no chunk yet. */
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
   * Resolves when all chunks are in memory. If chunks are damaged, rejects with the first damage
   * when all others are loaded. Rejects with StoreClosedError if the store was closed before.
   */
  get warmed(): Promise<void> {
    return this.#done ?? Promise.resolve();
  }

  /** Loads these chunks before anything is read from the table. Rejects like an open. */
  async load(runner: JobRunner, signal: AbortSignal, ordinals: readonly number[]): Promise<void> {
    await this.#loadRanges(runner, signal, rangesOf(ordinals));
    const [failure] = this.#failed.values();
    if (failure !== undefined) throw failure;
  }

  /**
   * Starts loading the rest after `pause`, because starting threads would delay the caller's first
   * read. The runner is closed when everything is loaded or the load was stopped.
   */
  start(makeRunner: () => JobRunner, pause: () => Promise<void>, hooks: WarmingHooks): void {
    this.#hooks = hooks;
    this.#done = pause().then(() => {
      this.#abort.signal.throwIfAborted();
      return this.#warm(makeRunner());
    });
    this.#done.catch(() => undefined);
  }

  /** Stops loading in the background and closes the file. */
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
    // The file stays open, because a chunk that cannot be read is retried at each read.
    if (failure !== undefined) throw failure;
    await this.#closeFile();
    this.#hooks.onWarmed();
  }

  /** Loads ranges in order, with the parallelism of the runner. */
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
    // One chunk of the range cannot be read: loads the others one by one.
    for (const chunk of range) this.#try(chunk);
  }

  #try(chunk: LazyChunk): void {
    try {
      void chunk.chunk;
    } catch {
      // `#read` has recorded the error.
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

/** Groups consecutive ordinals into ranges [from, to) of at most a job's length. */
function rangesOf(ordinals: Iterable<number>): [number, number][] {
  const ranges: [number, number][] = [];
  for (const ordinal of ordinals) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === ordinal && ordinal - last[0] < JOB_CHUNKS) last[1]++;
    else ranges.push([ordinal, ordinal + 1]);
  }
  return ranges;
}

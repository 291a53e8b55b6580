import { resolve } from 'node:path';
import { monotonicMs, nextTurn } from '../base/timers.ts';
import { StoreBusyError } from '../base/errors.ts';
import type { Awaitable } from '../base/flow.ts';
import { joinU64 } from '../base/u64.ts';
import { realPathOf } from '../fs/directory.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { RunCursor } from '../runs/run-cursor.ts';
import type { WriteBatch } from '../store/batch/write-batch.ts';
import { MetadataStore } from '../store/metadata-store.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import type { CommandContext } from './output/command-context.ts';
import { InterruptedError, UsageError } from './output/command-errors.ts';
import { CsvParser } from './records/csv-input.ts';
import { EXIT_OK, EXIT_USAGE } from './output/exit-code.ts';
import { fileInput, streamInput, type ImportInput } from './records/import-input.ts';
import { InputError } from './records/input-error.ts';
import { LineCutter, type InputLine } from './records/input-lines.ts';
import { parseJsonLine } from './records/json-input.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatMilliseconds } from './output/number-text.ts';
import type { InputRecord } from './records/record-input.ts';
import { isTooLarge, RecordLoader, type BatchSink } from './records/record-loader.ts';
import { RecordSource } from '../inspection/record-source.ts';
import { refuseReplica } from './refuse-replica.ts';

export interface ImportOptions {
  readonly format: 'jsonl' | 'csv' | 'ancestor';
  readonly in: string;
  readonly dryRun?: true;
  readonly json?: true;
}

/** The name that stands for standard input. */
export const STDIN = '-';
const NO_SINK: BatchSink = { commit: () => undefined };

/**
 * Imports in order: the records reported as imported are durable, and are a prefix of the input.
 */
export async function importRecords(
  context: CommandContext,
  directory: string,
  options: ImportOptions,
): Promise<number> {
  if (options.format === 'ancestor' && options.in === STDIN) {
    throw new UsageError('--format ancestor reads a directory: give it with --in');
  }
  if (options.format === 'ancestor' && (await isSame(context.fs, options.in, directory))) {
    throw new UsageError('--in is the directory of the store itself: open it instead');
  }
  await refuseReplica(context.fs, directory);
  return new Import(context, directory, options).run();
}

async function isSame(fs: FileSystem, one: string, other: string): Promise<boolean> {
  return (await realPathOf(fs, resolve(one))) === (await realPathOf(fs, resolve(other)));
}

class Import {
  readonly #context: CommandContext;
  readonly #directory: string;
  readonly #options: ImportOptions;
  readonly #loader: RecordLoader;
  readonly #startMs: number = monotonicMs();
  #store: MetadataStore | undefined;

  constructor(context: CommandContext, directory: string, options: ImportOptions) {
    this.#context = context;
    this.#directory = directory;
    this.#options = options;
    this.#loader = new RecordLoader(() => this.#open());
  }

  async run(): Promise<number> {
    try {
      await this.#load();
      await this.#loader.finish();
    } catch (error) {
      // The first failure is reported, with what is durable.
      await this.#store?.close().catch(() => undefined);
      return this.#fail(error);
    }
    await this.#store?.close();
    this.#context.bar.clear();
    this.#tell(undefined);
    await this.#context.out.flush();
    return EXIT_OK;
  }

  /** Opened lazily, so that input that is invalid from the start creates no store. */
  async #open(): Promise<BatchSink> {
    if (this.#options.dryRun === true) return NO_SINK;
    const { signal, bar } = this.#context;
    const onProgress = bar.report.bind(bar);
    const options = { signal, onProgress, commits: 'inline' } as const;
    const store = await MetadataStore.open(this.#directory, options);
    this.#store = store;
    return { commit: (batch) => commitIn(store, batch) };
  }

  #load(): Promise<void> {
    return this.#options.format === 'ancestor' ? this.#loadDirectory() : this.#loadText();
  }

  async #loadText(): Promise<void> {
    const { signal, bar } = this.#context;
    const { pieces, totalBytes } = await this.#input();
    const csv = this.#options.format === 'csv' ? new CsvParser() : undefined;
    const parse = (line: InputLine): InputRecord | undefined =>
      csv === undefined ? parseJsonLine(line) : csv.parse(line);
    const lines = new LineCutter();
    let doneBytes = 0;
    for await (const piece of pieces) {
      signal.throwIfAborted();
      await this.#addLines(lines.push(piece), parse);
      doneBytes += piece.length;
      bar.report({ phase: 'import', doneBytes, totalBytes });
      await nextTurn();
    }
    signal.throwIfAborted();
    await this.#addLines(lines.finish(), parse);
    csv?.finish();
  }

  async #input(): Promise<ImportInput> {
    const { fs, signal, stdin } = this.#context;
    if (this.#options.in !== STDIN) return fileInput(fs, resolve(this.#options.in));
    if (stdin === undefined) throw new UsageError('there is no input on stdin: use --in');
    return streamInput(stdin(), signal);
  }

  async #addLines(
    lines: Iterable<InputLine>,
    parse: (line: InputLine) => InputRecord | undefined,
  ): Promise<void> {
    for (const line of lines) {
      const record = parse(line);
      if (record === undefined) continue;
      try {
        const room = this.#loader.add(record);
        if (room !== undefined) await room;
      } catch (error) {
        if (isTooLarge(error)) throw new InputError(line.number, 'its data is over the limit');
        throw error;
      }
    }
  }

  async #loadDirectory(): Promise<void> {
    const { fs, signal, bar } = this.#context;
    const progress = new ProgressMeter((one) => bar.report(one));
    const source = await RecordSource.open({ fs, directory: this.#options.in, signal, progress });
    try {
      for await (const columns of source.chunks()) {
        for (const cursor = new RunCursor([columns]); !cursor.done; cursor.next()) {
          const { dataFrom, dataLength } = cursor;
          const room = this.#loader.add({
            key: joinU64(cursor.keyLow, cursor.keyHigh),
            value: joinU64(cursor.valueLow, cursor.valueHigh),
            data: cursor.data.subarray(dataFrom, dataFrom + dataLength),
          });
          if (room !== undefined) await room;
        }
        await nextTurn();
        signal.throwIfAborted();
      }
    } finally {
      await source.close();
    }
  }

  #fail(error: unknown): number {
    const { bar, signal, err } = this.#context;
    bar.clear();
    if (signal.aborted) throw new InterruptedError(`interrupted; ${this.#standing()}`);
    if (error instanceof InputError) {
      this.#tell(error);
      err.line(`lodestore: line ${error.line}: ${error.message}. ${capital(this.#standing())}`);
      return EXIT_USAGE;
    }
    if (this.#store !== undefined) err.line(`lodestore: ${this.#standing()}`);
    throw error;
  }

  /** Describes what is in the store now, and how to continue. */
  #standing(): string {
    const { acknowledged } = this.#loader;
    if (this.#options.dryRun === true || acknowledged === 0) return 'nothing has been imported';
    return (
      `the first ${countOf(acknowledged, 'record')} have been imported and are durable; ` +
      `importing all of it again is safe`
    );
  }

  #tell(error: InputError | undefined): void {
    const { out } = this.#context;
    const { dryRun } = this.#options;
    const { acknowledged } = this.#loader;
    const milliseconds = monotonicMs() - this.#startMs;
    if (this.#options.json === true) {
      const isDryRun = dryRun === true;
      const records = isDryRun && error !== undefined ? 0 : acknowledged;
      const failure = error && { line: error.line, message: error.message };
      const directory = this.#directory;
      out.line(toJson({ directory, records, dryRun: isDryRun, milliseconds, error: failure }, 2));
    } else if (error === undefined) {
      const what = countOf(acknowledged, 'record');
      out.line(
        dryRun === true
          ? `The input holds ${what} and no errors. Nothing has been imported.`
          : `Imported ${what} into ${this.#directory} in ${formatMilliseconds(milliseconds)}.`,
      );
    }
  }
}

/**
 * Uses blocking commits if possible, because the import has nothing else to do. Merges make
 * progress between pieces of the input.
 */
function commitIn(store: MetadataStore, batch: WriteBatch): Awaitable<unknown> {
  try {
    return store.insertBatchSync(batch);
  } catch (error) {
    if (error instanceof StoreBusyError) return store.insertBatch(batch);
    throw error;
  }
}

function capital(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}

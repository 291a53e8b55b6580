import { CorruptionError } from '../../base/errors.ts';
import type { IntervalWords } from '../../base/interval-set.ts';
import type { LoadLogPieceResult } from '../../jobs/load-log-piece.ts';
import type { LoadLogResult } from '../../jobs/load-log.ts';
import { continues, type ByteRange } from '../../log/log-piece.ts';
import type { LogPiece } from '../../log/log-report.ts';
import type { RowPiece } from '../../replay/row-piece.ts';
import { damageHint } from './advice.ts';
import type { RecoveryContext } from './recovery-context.ts';
import { RowPile } from './row-pile.ts';
import type { LoadedLog } from './verdict.ts';

/** Bytes per piece: some milliseconds of work, so that all threads share a long log. */
const PIECE_BYTES: number = 2 * 1024 * 1024;

export interface LogFile {
  readonly number: number;
  readonly path: string;
  readonly sizeBytes: number;
  /** If set, bytes after it are not read. At most `sizeBytes`. */
  readonly limitBytes?: number | undefined;
}

export interface LoadedLogs {
  /** The scans of the logs. */
  readonly logs: readonly LoadedLog[];
  /** All rows of the logs without most superseded ones, oldest first. */
  readonly pieces: readonly RowPiece[];
  /** The logs delete these keys of the snapshot. Ascending, and no two touch. */
  readonly intervals: IntervalWords;
}

/**
 * Number of jobs started ahead, per job that can run at a time. With threads, it is large enough
 * that no thread has to wait.
 */
const JOBS_ALONE = 2;
const JOBS_PER_JOB = 4;

/**
 * Reads logs, given in order, in parallel; long logs in pieces. A final scan of each log starts
 * where valid pieces end, and finds everything that is invalid. Regardless of the number of logs,
 * few are open at a time, and few superseded rows are in memory.
 */
export async function loadLogs(
  context: RecoveryContext,
  files: readonly LogFile[],
  storeId: Uint8Array | undefined,
): Promise<LoadedLogs> {
  const pile = new RowPile(context);
  const reading = new ReadAhead(context, files, storeId);
  try {
    const logs: LoadedLog[] = [];
    for (const file of files) logs.push(await loadLog(reading, pile, file));
    return { logs, ...(await pile.finish()) };
  } finally {
    await reading.end();
  }
}

/** Waits for the pieces of the next log, and scans the rest of it. */
async function loadLog(reading: ReadAhead, pile: RowPile, file: LogFile): Promise<LoadedLog> {
  const { number, path } = file;
  const sound: (LogPiece | undefined)[] = [];
  let last: LogPiece | undefined;
  let isSound = true;
  for (let left = reading.piecesOf(file); left > 0; left--) {
    const { piece, rows } = await reading.nextPiece();
    if (!isSound) continue;
    isSound = piece === undefined || continues(piece, last);
    if (!isSound) continue;
    sound.push(piece);
    last = piece ?? last;
    if (piece !== undefined) await pile.add(rows);
  }
  const { scan, rows } = await reading.scan(file, sound);
  if (sound.slice(scan.pieces).some((piece) => piece !== undefined)) {
    const reason = 'the log changed while it was read';
    const hint = damageHint(reading.directory);
    throw new CorruptionError({ path, offset: scan.validBytes, reason, hint });
  }
  await pile.add(rows);
  return { number, path, scan };
}

/** Reads pieces of logs, and whole short logs, in order, with some read-ahead. */
class ReadAhead {
  readonly directory: string;
  readonly #context: RecoveryContext;
  readonly #storeId: Uint8Array | undefined;
  readonly #pieceBytes: number;
  readonly #limit: number;
  /** Jobs that have not been started. */
  readonly #left: Iterator<() => Promise<LoadLogPieceResult | LoadLogResult>>;
  readonly #running: Promise<LoadLogPieceResult | LoadLogResult>[] = [];

  constructor(
    context: RecoveryContext,
    files: readonly LogFile[],
    storeId: Uint8Array | undefined,
  ) {
    const { parallelism } = context.runner;
    this.directory = context.directory;
    this.#context = context;
    this.#storeId = storeId;
    this.#pieceBytes = context.pieceBytes ?? PIECE_BYTES;
    this.#limit = parallelism === 1 ? JOBS_ALONE : JOBS_PER_JOB * parallelism;
    this.#left = this.#jobs(files);
  }

  /** Number of pieces of a log. 0 if it is read as a whole. */
  piecesOf({ sizeBytes }: LogFile): number {
    return sizeBytes <= this.#pieceBytes ? 0 : Math.ceil(sizeBytes / this.#pieceBytes);
  }

  async nextPiece(): Promise<LoadLogPieceResult> {
    return (await this.#next()) as LoadLogPieceResult;
  }

  /** Scans the rest of a log after its pieces, or returns the result of a whole log. */
  async scan(file: LogFile, pieces: readonly (LogPiece | undefined)[]): Promise<LoadLogResult> {
    if (this.piecesOf(file) === 0) return (await this.#next()) as LoadLogResult;
    return this.#runScan(file, pieces);
  }

  /** Waits for started jobs whose results were not requested. */
  async end(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async #next(): Promise<LoadLogPieceResult | LoadLogResult> {
    while (this.#running.length < this.#limit) {
      const next = this.#left.next();
      if (next.done === true) break;
      const running = next.value();
      // The failure is reported when the promise is awaited.
      running.catch(() => undefined);
      this.#running.push(running);
    }
    return this.#running.shift()!;
  }

  *#jobs(
    files: readonly LogFile[],
  ): Generator<() => Promise<LoadLogPieceResult | LoadLogResult>, void, undefined> {
    for (const file of files) {
      const pieces = this.piecesOf(file);
      if (pieces === 0) yield () => this.#runScan(file, []);
      for (let i = 0; i < pieces; i++) {
        const from = i * this.#pieceBytes;
        const to = Math.min(from + this.#pieceBytes, file.sizeBytes);
        yield () => this.#runPiece(file, { from, to });
      }
    }
  }

  #runPiece({ number, path }: LogFile, range: ByteRange): Promise<LoadLogPieceResult> {
    const { runner, signal, progress } = this.#context;
    const job = { kind: 'load-log-piece' as const, path, number, range };
    return runner.run(job, { signal, onProgress: progress.part('logs') });
  }

  #runScan(
    { number, path, sizeBytes, limitBytes }: LogFile,
    pieces: readonly (LogPiece | undefined)[],
  ): Promise<LoadLogResult> {
    const { runner, signal, progress } = this.#context;
    const from = pieces.findLast((piece) => piece !== undefined)?.to.offset ?? 0;
    const expectedBytes = sizeBytes - from;
    const storeId = this.#storeId;
    const about = { path, number, storeId, expectedBytes, limitBytes, pieces };
    const job = { kind: 'load-log' as const, ...about };
    // The pieces have reported the progress of all bytes.
    const tell = pieces.length === 0 ? progress.part('logs') : undefined;
    return runner.run(job, { signal, ...(tell && { onProgress: tell }) });
  }
}

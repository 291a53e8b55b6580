import { inTurns } from '../../base/in-turns.ts';
import type { Columns } from '../../format/columns.ts';
import { buffersOf } from '../../runs/column-buffers.ts';
import type { LoadLogPieceResult } from '../../jobs/load-log-piece.ts';
import type { ByteRange } from '../../log/log-piece.ts';
import type { RecoveryContext } from './recovery-context.ts';
import type { LoadedLog } from './verdict.ts';

/** Some milliseconds of work, as of chunks: of a long log many threads take their share. */
const PIECE_BYTES: number = 2 * 1024 * 1024;

export interface LogFile {
  readonly number: number;
  readonly path: string;
  readonly sizeBytes: number;
}

export interface LoadedLogs {
  /** As they were found. Their own runs may be a part of what they hold. */
  readonly logs: readonly LoadedLog[];
  /** All that they hold, oldest first. */
  readonly runs: readonly (readonly Columns[])[];
}

/** Logs that are read at a time, for each job that can run: one descriptor each. */
const LOGS_PER_JOB = 2;

/**
 * Reads logs, given in order, in parallel: long ones in pieces. Whatever is not sound is found by one scan
 * of the log, which goes on from where sound pieces end. However many logs there are, only a few are open
 * at a time.
 */
export async function loadLogs(
  context: RecoveryContext,
  files: readonly LogFile[],
  storeId: Uint8Array | undefined,
): Promise<LoadedLogs> {
  const limit = LOGS_PER_JOB * context.runner.parallelism;
  const loaded = await inTurns(files, limit, (file) => loadLog(context, file, storeId));
  const runs = loaded.flatMap((one) => one.runs).filter((run) => run.length > 0);
  return { logs: loaded.map(({ log }) => log), runs };
}

async function loadLog(
  context: RecoveryContext,
  file: LogFile,
  storeId: Uint8Array | undefined,
): Promise<{ readonly log: LoadedLog; readonly runs: readonly (readonly Columns[])[] }> {
  const { runner, signal, progress } = context;
  const { number, path } = file;
  const results = await loadPieces(context, file);
  const pieces = results.map(({ piece }) => piece);
  const job = { kind: 'load-log' as const, path, number, storeId, pieces };
  // Pieces have told their share.
  const onProgress = pieces.length === 0 ? progress.part('logs') : undefined;
  const result = await runner.run(job, { signal, ...(onProgress && { onProgress }) });
  const sound = results.slice(0, result.scan.pieces).map(({ run }) => run);
  return { log: { number, path, ...result }, runs: [...sound, result.run] };
}

/**
 * None where nobody would share the work, nor where it would not pay: keys that do not ascend are sorted once
 * at less cost than runs of them are folded. The first groups tell.
 */
async function loadPieces(
  context: RecoveryContext,
  file: LogFile,
): Promise<readonly LoadLogPieceResult[]> {
  const { pieceBytes = PIECE_BYTES } = context;
  const { sizeBytes } = file;
  if (context.runner.parallelism === 1 || sizeBytes <= pieceBytes) return [];
  const firstBytes = Math.ceil(pieceBytes / 16);
  const first = await loadPiece(context, file, { from: 0, to: firstBytes });
  if (first.piece === undefined || !first.isAscending) return [];
  const others: Promise<LoadLogPieceResult>[] = [];
  for (let from = firstBytes; from < sizeBytes; from += pieceBytes) {
    const to = Math.min(from + pieceBytes, sizeBytes);
    others.push(loadPiece(context, file, { from, to }));
  }
  return [first, ...(await Promise.all(others))];
}

function loadPiece(
  { runner, signal, progress }: RecoveryContext,
  { number, path }: LogFile,
  range: ByteRange,
): Promise<LoadLogPieceResult> {
  const job = { kind: 'load-log-piece' as const, path, number, range };
  return runner.run(job, { signal, onProgress: progress.part('logs') });
}

/** Makes one run of several, oldest first, without touching a record where they follow one another in key. */
export async function foldLoaded(
  { runner, signal }: RecoveryContext,
  runs: readonly (readonly Columns[])[],
): Promise<readonly Columns[]> {
  if (isAscending(runs)) return runs.flat();
  const transfer = runs.flatMap(buffersOf);
  const { run } = await runner.run({ kind: 'fold-logs', runs }, { signal, transfer });
  return run;
}

function isAscending(runs: readonly (readonly Columns[])[]): boolean {
  return runs.every((run, i) => i === 0 || runs[i - 1]!.at(-1)!.lastKey < run[0]!.firstKey);
}

import { inTurns } from '../../base/in-turns.ts';
import type { Columns } from '../../format/columns.ts';
import { buffersOf } from '../../runs/column-buffers.ts';
import { bytesOf, isAscending, RunPile } from '../../runs/run-pile.ts';
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
  /** As they were found. */
  readonly logs: readonly LoadedLog[];
  /** All that they hold, oldest first. */
  readonly runs: readonly (readonly Columns[])[];
}

/** Logs that are read at a time, for each job that can run: one descriptor each. */
const LOGS_PER_JOB = 2;

/** Pieces that wait to be joined, for each job that can run. */
const PIECES_PER_JOB = 4;

/** Pieces that reach back behind the keys before them may take this much together; then the rest is read by one scan. */
const OVERLAP_BYTES: number = 64 * 1024 * 1024;

/**
 * Reads logs, given in order, in parallel: long ones in pieces. Whatever is not sound is found by one scan
 * of the log, which goes on from where sound pieces end. However many logs there are, only a few are open
 * at a time, and runs that overlap are folded on the way.
 */
export async function loadLogs(
  context: RecoveryContext,
  files: readonly LogFile[],
  storeId: Uint8Array | undefined,
): Promise<LoadedLogs> {
  const limit = LOGS_PER_JOB * context.runner.parallelism;
  const pile = new RunPile(context.foldBytes);
  let last: Promise<unknown> = Promise.resolve();
  const logs = await inTurns(files, limit, async (file) => {
    const before = last;
    const loading = loadLog(context, file, storeId);
    // In the order of the logs. Those before have begun earlier, so that nobody waits for ever.
    const piled = Promise.all([loading, before]).then(([{ runs }]) => pileUp(context, pile, runs));
    last = piled;
    await piled;
    const { log } = await loading;
    return log;
  });
  return { logs, runs: pile.runs };
}

async function pileUp(
  context: RecoveryContext,
  pile: RunPile,
  runs: readonly (readonly Columns[])[],
): Promise<void> {
  for (const run of runs) {
    if (pile.add(run)) pile.replace(await foldLoaded(context, pile.runs));
  }
}

interface LoadedFile {
  readonly log: LoadedLog;
  readonly runs: readonly (readonly Columns[])[];
}

async function loadLog(
  context: RecoveryContext,
  file: LogFile,
  storeId: Uint8Array | undefined,
): Promise<LoadedFile> {
  const { runner, signal, progress } = context;
  const { number, path } = file;
  const { results, toldBytes } = await loadPieces(context, file);
  const pieces = results.map(({ piece }) => piece);
  const job = { kind: 'load-log' as const, path, number, storeId, pieces };
  const tell = progress.part('logs');
  const onProgress = (offset: number): void => tell(Math.max(0, offset - toldBytes));
  const { scan, run } = await runner.run(job, { signal, onProgress });
  const sound = results.slice(0, scan.pieces).map((result) => result.run);
  return { log: { number, path, scan }, runs: [...sound, run] };
}

interface LoadedPieces {
  readonly results: readonly LoadLogPieceResult[];
  /** Of the log, from its beginning: what all pieces have told as progress. */
  readonly toldBytes: number;
}

/**
 * None where nobody would share the work, nor where it would not pay: keys that do not ascend are sorted once
 * at less cost than runs of them are folded. The first groups tell. Pieces that hold the same keys again and again
 * would take more memory than what they leave: where they go back too far, the rest of the log is left to the scan.
 */
async function loadPieces(context: RecoveryContext, file: LogFile): Promise<LoadedPieces> {
  const { pieceBytes = PIECE_BYTES, foldBytes = OVERLAP_BYTES } = context;
  const { parallelism } = context.runner;
  const { sizeBytes } = file;
  if (parallelism === 1 || sizeBytes <= pieceBytes) return { results: [], toldBytes: 0 };
  let from = Math.ceil(pieceBytes / 16);
  const first = await loadPiece(context, file, { from: 0, to: from });
  if (first.piece === undefined || !first.isAscending) return { results: [], toldBytes: from };
  const results = [first];
  const running: Promise<LoadLogPieceResult>[] = [];
  let highestKey = highestKeyOf(first.run);
  let overlapBytes = 0;
  while (overlapBytes <= foldBytes) {
    // Few at first: what they hold shows with the first of them.
    const ahead = Math.min(parallelism + results.length, PIECES_PER_JOB * parallelism);
    while (running.length < ahead && from < sizeBytes) {
      const to = Math.min(from + pieceBytes, sizeBytes);
      const piece = loadPiece(context, file, { from, to });
      // Whoever waits for it hears of its failure.
      piece.catch(() => undefined);
      running.push(piece);
      from = to;
    }
    const next = await running.shift();
    if (next === undefined) break;
    const { run } = next;
    if (run.length > 0 && run[0]!.firstKey <= highestKey) overlapBytes += bytesOf(run);
    if (highestKeyOf(run) > highestKey) highestKey = highestKeyOf(run);
    results.push(next);
  }
  await Promise.all(running);
  return { results, toldBytes: from };
}

function highestKeyOf(run: readonly Columns[]): bigint {
  return run.at(-1)?.lastKey ?? 0n;
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

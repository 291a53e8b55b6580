import { absolutePathOf } from '../fs/absolute-path.ts';
import { nextTurn } from '../base/timers.ts';
import { SLICE_MS } from '../base/work-slices.ts';
import { AbortedError, StoreError } from '../base/errors.ts';
import {
  checkBackup,
  IN_STORE,
  requireOutside,
  writeBackup,
  type BackupReport,
} from '../store/backup/backup.ts';
import { closeSource, readSource } from '../store/backup/backup-source.ts';
import { copyError } from '../store/backup/copy-error.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { chooseRunner } from '../store/open/recovery-runner.ts';
import { ThreadShortage } from '../threads/thread-shortage.ts';
import type { Directory } from '../fs/directory.ts';
import { withDirectory } from '../store/open/with-directory.ts';
import { InterruptedError, UsageError } from './output/command-errors.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatBytes, formatCount, formatMilliseconds } from './output/number-text.ts';

export interface BackupCommandOptions {
  readonly json?: true;
  readonly verify?: true;
  readonly incremental?: string;
}

/**
 * Makes a backup from the files on disk. A store may be open there: it is not contacted and not
 * blocked.
 */
export async function backup(
  context: CommandContext,
  directory: string,
  target: string,
  options: BackupCommandOptions,
): Promise<number> {
  const { bar, out, signal } = context;
  const path = absolutePathOf(target, 'TARGET');
  try {
    const report = await withDirectory(context.fs, directory, (held) =>
      copyStore(context, held, path, options),
    );
    bar.clear();
    if (options.json === true) out.line(toJson({ directory, ...report }, 2));
    else for (const line of textOf(report, options.verify === true)) out.line(line);
  } catch (error) {
    throw copyFailure(copyError(error, `the backup to ${path}`, path, signal));
  }
  await out.flush();
  return EXIT_OK;
}

async function copyStore(
  context: CommandContext,
  fs: Directory,
  target: string,
  options: BackupCommandOptions,
): Promise<BackupReport> {
  const { signal, bar } = context;
  const { incremental } = options;
  checkBackup(target, { incremental });
  await requireOutside(fs, fs.realPath, target, IN_STORE);
  const progress = new ProgressMeter((one) => bar.report(one));
  const source = await readSource(fs, { signal, progress });
  try {
    const makeRunner = (copy: Directory): ReturnType<typeof chooseRunner> =>
      chooseRunner(
        copy,
        { threads: undefined },
        { pause: nextTurn, sliceMs: SLICE_MS },
        new ThreadShortage(copy.realPath).report,
      );
    // The expected record count and hash are in the memory of the store's process and unknown here.
    // The check is that the copy opens, up to the same batch.
    const expected = async (): Promise<Record<string, never>> => ({});
    const writing = { fs, check: { makeRunner, pause: nextTurn }, expected, records: undefined };
    return await writeBackup(writing, source, target, {
      signal,
      incremental,
      verify: options.verify,
      onProgress: (one) => bar.report(one),
    });
  } finally {
    await closeSource(source);
  }
}

/** Reports an unusable target as wrong usage instead of an I/O failure. */
export function copyFailure(error: unknown): unknown {
  const isBadTarget = error instanceof StoreError && error.code === 'LODESTORE_BAD_TARGET';
  if (isBadTarget) return new UsageError(error.message);
  // An interrupted copy removes what it has written.
  if (error instanceof AbortedError) {
    return new InterruptedError('interrupted; nothing has been changed', { cause: error });
  }
  return error;
}

function textOf(report: BackupReport, isVerified: boolean): string[] {
  const { target, files, bytes, copiedBytes, lastSequence, milliseconds } = report;
  const counts = (['linked', 'reused', 'copied'] as const).map((origin) => {
    const count = files.filter((file) => file.origin === origin).length;
    return `${count} ${origin}`;
  });
  const lines = [
    `Backed up ${countOf(files.length, 'file')} of ${formatBytes(bytes)}, with all batches up to ` +
      `${formatCount(lastSequence)}, to ${target} in ${formatMilliseconds(milliseconds)}.`,
    `${counts.join(', ')}; ${formatBytes(copiedBytes)} were copied.`,
  ];
  if (isVerified) {
    lines.push(
      `The copy opens: ${countOf(report.records ?? 0, 'record')}, content hash ${report.contentHash}.`,
    );
  }
  return lines;
}

import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { CorruptionError } from '../base/errors.ts';
import { logName, snapshotName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { refuseIncompleteCopy } from '../directory/incomplete-copy.ts';
import { noStoreError, readDirectoryContents } from '../store/recovery/directory-state.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import type { Loss } from '../store/recovery/recovery-report.ts';
import type { Move } from '../store/salvage/placement.ts';
import { concernsRecords, sequenceAfterSalvage } from '../store/salvage/salvage-loss.ts';
import { readSalvageable, type Salvageable } from '../store/salvage/salvage-reading.ts';
import { readSnapshotState } from '../store/recovery/snapshot-state.ts';
import { checkChunks } from '../inspection/chunk-check.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { InterruptedError } from './output/command-errors.ts';
import { EXIT_DAMAGE, EXIT_OK } from './output/exit-code.ts';
import { FreshDirectory } from './fresh-directory.ts';
import { toJson } from './output/json-text.ts';
import { lossText, moveText } from './text/loss-text.ts';
import { countOf, formatBytes } from './output/number-text.ts';
import { REPORT_NAME, writeReport, writeSalvaged } from './salvaged-store.ts';
import { lockSource } from '../inspection/source-lock.ts';
import { viewSource } from '../inspection/source-view.ts';
import { findCopies } from '../inspection/store-copies.ts';
import { findUnreadable } from '../inspection/unreadable-files.ts';

export interface SalvageOptions {
  readonly json?: true;
  readonly skipUnreadable?: true;
}

/** The content of `SALVAGE.json`. */
interface SalvageReport {
  readonly source: string;
  readonly target: string;
  readonly records: number;
  readonly lastSequence: bigint;
  readonly snapshotBytes: number;
  /** Unreadable files that were skipped. The losses are an upper bound of what they held. */
  readonly skipped: readonly string[];
  /** Files that were read under another name, or not at all, and why. */
  readonly moved: readonly Move[];
  readonly losses: readonly Loss[];
}

/**
 * Salvages a store into a new directory, together with the loss report. Nothing in the source is
 * changed.
 */
export function salvage(
  context: CommandContext,
  source: string,
  target: string,
  options: SalvageOptions,
): Promise<number> {
  return onDirectory(context, source, (held, path) => salvageHeld(held, path, target, options));
}

async function salvageHeld(
  context: CommandContext,
  directory: string,
  target: string,
  options: SalvageOptions,
): Promise<number> {
  const { fs, out, bar } = context;
  await refuseIncompleteCopy(fs, directory);
  const release = await lockSource(fs, directory);
  try {
    const fresh = await FreshDirectory.create(fs, target, directory);
    const report = await fill(context, directory, fresh, options);
    bar.clear();
    for (const line of options.json === true ? [toJson(report, 2)] : textOf(report)) out.line(line);
    const isWhole = report.losses.length === 0 && report.skipped.length === 0;
    return isWhole ? EXIT_OK : EXIT_DAMAGE;
  } finally {
    await release();
  }
}

async function fill(
  context: CommandContext,
  directory: string,
  fresh: FreshDirectory,
  options: SalvageOptions,
): Promise<SalvageReport> {
  const { signal } = context;
  try {
    const skipped = options.skipUnreadable === true ? await unreadable(context, directory) : [];
    const found = await read(context, directory, new Set(skipped));
    const lastSequence = sequenceAfterSalvage(found);
    const written = await write(context, fresh, { ...found, lastSequence });
    const report = {
      source: directory,
      target: fresh.path,
      records: written.totals.recordCount,
      lastSequence,
      snapshotBytes: written.fileBytes,
      skipped,
      moved: found.moves,
      losses: found.losses,
    };
    await writeReport(fresh.fs, fresh.path, report);
    await verify(context, fresh, report.records);
    await fresh.finish();
    return report;
  } catch (error) {
    await fresh.discard();
    if (!signal.aborted) throw error;
    throw new InterruptedError(
      `interrupted; ${fresh.path} has been removed again, and ${directory} is unchanged`,
    );
  }
}

/** Files of a later format version, and files with other errors, are not skipped. */
function unreadable({ fs, signal, bar }: CommandContext, directory: string): Promise<string[]> {
  const progress = new ProgressMeter((one) => bar.report(one));
  return findUnreadable(fs, directory, { signal, progress });
}

async function read(
  context: CommandContext,
  directory: string,
  hidden: ReadonlySet<string>,
): Promise<Salvageable> {
  const { fs, signal, bar } = context;
  const totalBytes = await bytesToRead(fs, directory, hidden);
  let doneBytes = 0;
  const onRead = (lengthBytes: number): void => {
    // Some ranges are read twice.
    doneBytes = Math.min(totalBytes, doneBytes + lengthBytes);
    bar.report({ phase: 'read', doneBytes, totalBytes });
  };
  return readSalvageable(viewSource(fs, { hidden, onRead }), directory, signal);
}

/**
 * @throws StoreError if there is neither a log nor a snapshot, under any name, nor a claim that one
 *   existed
 */
async function bytesToRead(
  fs: FileSystem,
  directory: string,
  hidden: ReadonlySet<string>,
): Promise<number> {
  const { claim, listing } = await readDirectoryContents(fs, directory);
  const named = [...listing.logs.map(logName), ...listing.snapshots.map(snapshotName)];
  const names = named.length > 0 ? named : await findCopies(viewSource(fs, { hidden }), directory);
  if (names.length === 0 && claim === undefined) throw noStoreError(directory);
  const readable = names.filter((name) => !hidden.has(name));
  const stats = await Promise.all(readable.map((name) => fs.stat(join(directory, name))));
  return stats.reduce((sum, stat) => sum + stat.sizeBytes, 0);
}

function write(
  { signal, bar }: CommandContext,
  fresh: FreshDirectory,
  found: Salvageable,
): ReturnType<typeof writeSalvaged> {
  const records = found.columns.reduce((sum, columns) => sum + columns.recordCount, 0);
  const bytes = found.columns.reduce((sum, columns) => sum + columns.data.buffer.byteLength, 0);
  const onRecords = (done: number): void => {
    const doneBytes = Math.round((done / Math.max(1, records)) * bytes);
    bar.report({ phase: 'write', doneBytes, totalBytes: bytes });
  };
  return writeSalvaged(fresh.fs, fresh.path, found, { signal, onRecords });
}

/** Reads everything back. */
async function verify(
  { signal, bar }: CommandContext,
  { fs, path: target }: FreshDirectory,
  records: number,
): Promise<void> {
  const state = await readSnapshotState(fs, target, 0);
  if ('hint' in state) throw new CorruptionError(state);
  assert(state.format === 'lodestore', 'a salvaged store is of our format');
  const progress = new ProgressMeter((one) => bar.report(one));
  progress.begin('snapshot', state.fileBytes);
  const [damage] = await checkChunks(fs, target, state, { signal, progress });
  if (damage !== undefined) throw new CorruptionError(damage);
  assert(state.file.index.totals.recordCount === records, 'the index counts what was written');
}

function textOf(report: SalvageReport): string[] {
  const { source, target, records, snapshotBytes, skipped, moved, losses } = report;
  const lines = [
    `Wrote ${countOf(records, 'record')} (${formatBytes(snapshotBytes)}) to ${target}, and read them back.`,
  ];
  for (const name of skipped) lines.push(`left out, it could not be read: ${join(source, name)}`);
  for (const move of moved) lines.push(moveText(move));
  const lost = losses.filter(concernsRecords);
  if (losses.length === 0 && skipped.length > 0) {
    lines.push('No record is lost: none depends on what was left out.');
  } else if (losses.length === 0) lines.push('Nothing is lost: everything verifies.');
  else if (lost.length === 0) lines.push('No record is lost; these bytes held none:');
  else lines.push(`Lost, in ${countOf(lost.length, 'place')}:`);
  for (const loss of losses) lines.push(`  ${lossText(loss)}`);
  lines.push(`${source} is unchanged. The report is in ${join(target, REPORT_NAME)}.`);
  return lines;
}

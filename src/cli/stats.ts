import { DEFAULT_MERGE_BYTES, ROW_HEADER_BYTES } from '../base/limits.ts';
import { isDueByMemory, MAX_LOGS } from '../store/merge/merge-due.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { reportFiles, type FileReport } from './text/file-report.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatBytes, formatCount } from './output/number-text.ts';
import { RecordSource } from '../inspection/record-source.ts';
import { surveyDirectory, type Survey } from '../inspection/survey.ts';
import { surveyError } from './text/survey-error.ts';
import { renderTable, type TextColumn } from './output/text-table.ts';

export interface StatsOptions {
  readonly json?: true;
}

export interface RecordCount {
  readonly records: number;
  readonly dataBytes: number;
}

/** The size of a part of a store, on disk and as rows. */
interface Volume {
  readonly storedBytes: number;
  readonly rowBytes: number;
}

interface Figures extends RecordCount {
  readonly directory: string;
  readonly lastSequence: bigint;
  readonly epoch: number | undefined;
  readonly fileBytes: number;
  readonly snapshot:
    (Volume & { readonly number: number; readonly records: number | undefined }) | undefined;
  readonly logs: Volume & {
    readonly count: number;
    readonly batches: number;
    readonly updates: number;
    /** Zeros after the last frame of each log. */
    readonly reservedBytes: number;
  };
  readonly merge: {
    /** For a newly opened store with default options. */
    readonly isDue: boolean;
    readonly dueBytes: number;
    /**
     * Bytes of rows that a merge would free: deletes, and records of the snapshot that updates
     * replace.
     */
    readonly freedBytes: number;
  };
  readonly files: readonly Pick<FileReport, 'name' | 'bytes' | 'state'>[];
}

const FILE_COLUMNS: readonly TextColumn[] = [
  { title: 'name', align: 'left' },
  { title: 'bytes', align: 'right' },
  { title: 'state', align: 'left' },
];

/** Prints figures of a store, from its files. */
export function stats(
  context: CommandContext,
  directory: string,
  options: StatsOptions,
): Promise<number> {
  return onDirectory(context, directory, (held, path) => statsHeld(held, path, options));
}

async function statsHeld(
  context: CommandContext,
  directory: string,
  options: StatsOptions,
): Promise<number> {
  const { fs, signal, bar } = context;
  const progress = new ProgressMeter((one) => bar.report(one));
  const survey = await surveyDirectory(fs, directory, {
    depth: 'logs',
    frames: false,
    signal,
    progress,
  });
  const error = surveyError(survey);
  if (error !== undefined) throw error;
  const source = await RecordSource.open({ fs, directory, signal, progress });
  const { updateBytes } = source;
  const count = await countAndClose(source);
  bar.clear();
  const figures = figuresOf(survey, count, updateBytes);
  const lines = options.json === true ? [toJson(figures, 2)] : textOf(figures);
  for (const line of lines) context.out.line(line);
  await context.out.flush();
  return EXIT_OK;
}

/** Counts exactly: chunks without updates by the index, the others by reading them. */
export async function countStored(source: RecordSource): Promise<RecordCount> {
  let records = 0;
  let dataBytes = 0;
  const chunks = source.chunks((entry) => {
    records += entry.recordCount;
    dataBytes += entry.dataBytes;
    return true;
  });
  for await (const columns of chunks) {
    records += columns.recordCount;
    dataBytes += columns.data.length;
  }
  return { records, dataBytes };
}

async function countAndClose(source: RecordSource): Promise<RecordCount> {
  try {
    return await countStored(source);
  } finally {
    await source.close();
  }
}

function figuresOf(survey: Survey, count: RecordCount, updateBytes: number): Figures {
  const files = reportFiles(survey);
  const snapshot = snapshotFigures(survey);
  const logs = logFigures(survey);
  const dueBytes = Math.max(DEFAULT_MERGE_BYTES, snapshot?.storedBytes ?? 0);
  const leftBytes = ROW_HEADER_BYTES * count.records + count.dataBytes;
  const freedBytes = Math.max(0, (snapshot?.rowBytes ?? 0) + updateBytes - leftBytes);
  const isDueByBytes = logs.storedBytes > dueBytes || logs.count > MAX_LOGS;
  const isDue = isDueByBytes || isDueByMemory({ freedBytes, leftBytes }, DEFAULT_MERGE_BYTES);
  return {
    directory: survey.directory,
    ...count,
    lastSequence: survey.opening?.lastSequence ?? 0n,
    epoch: survey.verdict?.highestEpoch,
    fileBytes: files.reduce((sum, file) => sum + (file.bytes ?? 0), 0),
    snapshot,
    logs,
    merge: { isDue, dueBytes, freedBytes },
    files: files.map(({ name, bytes, state }) => ({ name, bytes, state })),
  };
}

function snapshotFigures(survey: Survey): Figures['snapshot'] {
  const newest = survey.snapshots.at(-1);
  const state = newest?.state;
  if (newest === undefined || state === undefined) return undefined;
  const { number, fileBytes: storedBytes } = state;
  const totals = state.format === 'lodestore' ? state.file.index.totals : undefined;
  const rowBytes =
    totals === undefined ? 0 : ROW_HEADER_BYTES * totals.recordCount + totals.dataBytes;
  return { number, records: newest.recordCount, storedBytes, rowBytes };
}

function logFigures(survey: Survey): Figures['logs'] {
  const replayed = new Set(survey.opening?.logs);
  const logs = survey.logs.filter((log) => replayed.has(log.name));
  const scans = logs.flatMap((log) => log.scan ?? []);
  const storedBytes = scans.reduce((sum, scan) => sum + scan.validBytes, 0);
  return {
    count: logs.length,
    batches: scans.reduce((sum, scan) => sum + scan.batchCount, 0),
    updates: scans.reduce((sum, scan) => sum + scan.recordCount, 0),
    storedBytes,
    rowBytes: logs.reduce((sum, log) => sum + log.decodedBytes, 0),
    reservedBytes: scans.reduce((sum, scan) => sum + scan.fileBytes, 0) - storedBytes,
  };
}

function textOf(figures: Figures): string[] {
  const { records, dataBytes, snapshot, logs, merge } = figures;
  const epoch = figures.epoch === undefined ? '' : `, epoch ${figures.epoch}`;
  const lines = [
    `directory  ${figures.directory}`,
    `records    ${formatCount(records)}, with ${countOf(dataBytes, 'byte')} of data`,
    `sequence   ${formatCount(figures.lastSequence)} (the last batch)${epoch}`,
    `disk       ${formatBytes(figures.fileBytes)} in ${countOf(figures.files.length, 'file')}`,
  ];
  if (snapshot === undefined) lines.push('snapshot   none');
  else {
    const held = snapshot.records === undefined ? '' : `, ${countOf(snapshot.records, 'record')}`;
    lines.push(`snapshot   number ${snapshot.number}, ${volumeText(snapshot)}${held}`);
  }
  const counts = `${countOf(logs.batches, 'batch', 'batches')}, ${countOf(logs.updates, 'update')}`;
  const reserved =
    logs.reservedBytes > 0 ? `, ${formatBytes(logs.reservedBytes)} reserved after them` : '';
  lines.push(
    `logs       ${formatCount(logs.count)}, ${volumeText(logs)}, ${counts}${reserved}`,
    `merge      ${mergeText(merge, logs)}`,
    '',
    ...renderTable(
      FILE_COLUMNS,
      figures.files.map(({ name, bytes, state }) => [
        name,
        bytes === undefined ? '' : formatCount(bytes),
        state,
      ]),
    ),
  );
  return lines;
}

function volumeText({ storedBytes, rowBytes }: Volume): string {
  if (rowBytes === 0 || storedBytes === 0) return formatBytes(storedBytes);
  const ratio = (rowBytes / storedBytes).toFixed(1);
  return `${formatBytes(storedBytes)} for ${formatBytes(rowBytes)} of rows (${ratio} : 1)`;
}

function mergeText(
  { isDue, dueBytes, freedBytes }: Figures['merge'],
  logs: Figures['logs'],
): string {
  const limit = `${formatBytes(dueBytes)} or ${MAX_LOGS} logs`;
  const isByBytes = logs.storedBytes > dueBytes || logs.count > MAX_LOGS;
  if (isDue && isByBytes) return `due: the logs hold more than ${limit}`;
  if (isDue) return `due: it frees ${formatBytes(freedBytes)} of rows in memory`;
  if (logs.count === 0) return 'nothing to merge';
  return `not due before the logs hold ${limit}, with the default options`;
}

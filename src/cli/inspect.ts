import { shellWord } from '../base/shell-word.ts';
import type { Claim } from '../format/claim.ts';
import { WRITTEN_VERSION } from '../format/file-header.ts';
import { logName } from '../format/file-name.ts';
import { noStoreError } from '../store/recovery/directory-state.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { damageError } from './text/damage-text.ts';
import { EXIT_DAMAGE, EXIT_IO, EXIT_OK } from './output/exit-code.ts';
import { reportFiles, stateText, type FileReport } from './text/file-report.ts';
import type { FrameLine } from '../inspection/frame-line.ts';
import { toJson } from './output/json-text.ts';
import { formatChecksum, formatCount } from './output/number-text.ts';
import { keepingCode } from './output/output.ts';
import type { Owner } from '../inspection/owner.ts';
import { surveyDirectory, type Survey } from '../inspection/survey.ts';
import { renderTable, type TextColumn } from './output/text-table.ts';
import { verdictText } from './text/verdict-text.ts';

export interface InspectOptions {
  readonly json?: true;
  readonly frames?: true;
}

const ANCESTOR = 'ancestor (sled 1.0 alpha)';

const FILE_COLUMNS: readonly TextColumn[] = [
  { title: 'name', align: 'left' },
  { title: 'kind', align: 'left' },
  { title: 'bytes', align: 'right' },
  { title: 'epoch', align: 'right' },
  { title: 'sequences', align: 'right' },
  { title: 'frames', align: 'right' },
  { title: 'records', align: 'right' },
  { title: 'state', align: 'left' },
];

const FRAME_COLUMNS: readonly TextColumn[] = [
  { title: 'offset', align: 'right' },
  { title: 'kind', align: 'left' },
  { title: 'codec', align: 'left' },
  { title: 'payload', align: 'right' },
  { title: 'decoded', align: 'right' },
  { title: 'first sequence', align: 'right' },
  { title: 'batches', align: 'right' },
  { title: 'records', align: 'right' },
  { title: 'checksum', align: 'left' },
  { title: '', align: 'left' },
];

/** Prints the contents of a directory and what an open would do. */
export function inspect(
  context: CommandContext,
  directory: string,
  options: InspectOptions,
): Promise<number> {
  return onDirectory(context, directory, (held, path) => inspectHeld(held, path, options));
}

async function inspectHeld(
  context: CommandContext,
  directory: string,
  options: InspectOptions,
): Promise<number> {
  const survey = await surveyDirectory(context.fs, directory, {
    depth: 'logs',
    frames: options.frames === true,
    signal: context.signal,
    progress: new ProgressMeter((progress) => context.bar.report(progress)),
  });
  context.bar.clear();
  const lines = options.json === true ? [toJson(jsonOf(survey), 2)] : textOf(survey);
  return keepingCode(report(context, survey), async () => {
    for (const line of lines) {
      context.out.line(line);
      if (context.out.isFull) await context.out.flush();
    }
  });
}

function report(context: CommandContext, survey: Survey): number {
  if (survey.damages.length > 0) {
    const hint = `Nothing has been changed. Next: lodestore dump --damaged ${shellWord(survey.directory)}`;
    context.err.line(`lodestore: ${damageError(survey.damages, hint).message}`);
    return EXIT_DAMAGE;
  }
  for (const refusal of survey.refusals) context.err.line(`lodestore: ${refusal.message}`);
  if (survey.outcome === 'no store') {
    context.err.line(`lodestore: ${noStoreError(survey.directory).message}`);
  }
  return survey.outcome === 'opens' ? EXIT_OK : EXIT_IO;
}

/** A log may have hundreds of thousands of frames: their lines are made file by file. */
function* textOf(survey: Survey): Generator<string, void, void> {
  const files = reportFiles(survey);
  yield* [...headerText(survey), ''];
  if (files.length > 0) yield* [...renderTable(FILE_COLUMNS, files.map(fileCells)), ''];
  for (const { name, frameList } of files) {
    if (frameList.length === 0) continue;
    yield `${name}:`;
    yield* renderTable(FRAME_COLUMNS, frameList.map(frameCells));
    yield '';
  }
  yield* verdictText(survey);
  const foreign = survey.listing.foreign.length;
  if (foreign > 0) yield 'Foreign files are not touched.';
  if (survey.snapshots.at(-1)?.state?.format === 'lodestore') {
    yield `The chunks of the snapshot have not been read: "lodestore verify ${shellWord(survey.directory)}" reads them.`;
  }
}

function headerText(survey: Survey): string[] {
  const { storeId, owner, claim } = survey;
  return [
    `directory  ${survey.directory}`,
    `store id   ${storeId === undefined ? 'none' : hexOf(storeId)}`,
    `format     ${formatText(survey)}`,
    `owner      ${owner === undefined ? 'none on record' : ownerText(owner)}`,
    `claim      ${claim === undefined ? 'none on record' : claimText(claim)}`,
  ];
}

function formatsOf(survey: Survey): ('lodestore' | 'ancestor')[] {
  return [...new Set(reportFiles(survey).flatMap((file) => file.format ?? []))];
}

function formatText(survey: Survey): string {
  const formats = formatsOf(survey);
  if (formats.length === 0) return 'none';
  return formats
    .map((format) => (format === 'lodestore' ? `lodestore ${highestVersion(survey)}` : ANCESTOR))
    .join(' and ');
}

/** Each file has its own version. A reader of the directory must support the highest. */
function highestVersion({ snapshots, logs }: Survey): number {
  const headers = [
    ...snapshots.map((snapshot) => snapshot.header),
    ...logs.map((log) => log.scan?.header),
  ];
  return Math.max(...headers.map((header) => header?.version ?? WRITTEN_VERSION.log));
}

function ownerText({ record, hasLease, isRunning }: Owner): string {
  const date = new Date(record.openedAtMs);
  const since = Number.isNaN(date.getTime()) ? 'an unknown time' : date.toISOString();
  const epoch = record.epoch === undefined ? '' : `, epoch ${record.epoch}`;
  const name = `process ${record.pid} on host ${record.hostName}, opened ${since}${epoch}`;
  if (!hasLease) return `${name}; closed since`;
  if (isRunning === undefined) return `${name}; its lease still exists`;
  return isRunning ? `${name}; running` : `${name}; died without closing`;
}

/** The claim may be of another store, if the lock file was copied or no store file exists. */
function claimText({ storeId, number, lengthBytes, lastSequence }: Claim): string {
  const place = `${logName(number)} up to offset ${formatCount(lengthBytes)}`;
  return `${place}, batch ${formatCount(lastSequence)}, of store ${hexOf(storeId)}`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function fileCells(file: FileReport): string[] {
  const { firstSequence, lastSequence, epoch } = file;
  const first = firstSequence === undefined ? '' : `${formatCount(firstSequence)} - `;
  return [
    file.name,
    file.kind,
    optional(file.bytes),
    epoch === undefined ? '' : String(epoch),
    lastSequence === undefined ? '' : first + formatCount(lastSequence),
    optional(file.frames),
    optional(file.records),
    stateText(file),
  ];
}

function frameCells(frame: FrameLine): string[] {
  return [
    formatCount(frame.offset),
    frame.kind,
    frame.codec,
    formatCount(frame.payloadBytes),
    formatCount(frame.decodedBytes),
    optional(frame.firstSequence),
    optional(frame.batches),
    optional(frame.records),
    frame.checksum === undefined ? '' : formatChecksum(frame.checksum),
    frame.isBehindDamage ? 'behind damage' : '',
  ];
}

function optional(count: number | bigint | undefined): string {
  return count === undefined ? '' : formatCount(count);
}

function jsonOf(survey: Survey): unknown {
  const { directory, storeId, owner, claim, outcome, damages, refusals } = survey;
  return {
    directory,
    storeId: storeId && hexOf(storeId),
    formats: formatsOf(survey),
    owner,
    claim: claim && { ...claim, storeId: hexOf(claim.storeId) },
    outcome,
    files: reportFiles(survey).map(({ frameList, ...file }) => ({
      ...file,
      ...(frameList.length > 0 ? { frameList } : {}),
    })),
    opening: survey.opening,
    damages,
    refusals,
    foreign: survey.listing.foreign,
    verdict: verdictText(survey),
  };
}

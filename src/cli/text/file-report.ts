import { formatCount } from '../output/number-text.ts';
import type { Damage } from '../../inspection/damage.ts';
import type { FrameLine } from '../../inspection/frame-line.ts';
import type { LogSurvey } from '../../inspection/log-survey.ts';
import type { SnapshotSurvey } from '../../inspection/snapshot-survey.ts';
import type { Refusal } from '../../inspection/survey-options.ts';
import type { OtherFile, SurveyedFiles } from '../../inspection/surveyed-files.ts';

export type FileState =
  /**
   * For logs: closed with a seal; closed without a seal; the live one; ending in a torn write;
   * never written.
   */
  | 'sealed'
  | 'unsealed'
  | 'open'
  | 'torn'
  | 'prepared'
  /** For snapshots: the one that recovery uses. */
  | 'newest'
  /** A log, or an older snapshot, that the newest snapshot has replaced. */
  | 'merged leftover'
  | 'temporary'
  | 'foreign'
  | 'damaged'
  /** Could not be read, or has an unknown version. */
  | 'unreadable'
  | 'present';

/** One row of `inspect`'s table. Fields that are unknown or do not apply are undefined. */
export interface FileReport {
  readonly name: string;
  readonly kind: 'log' | 'snapshot' | OtherFile['kind'];
  readonly bytes: number | undefined;
  readonly format: 'lodestore' | 'ancestor' | undefined;
  readonly epoch: number | undefined;
  readonly firstSequence: bigint | undefined;
  readonly lastSequence: bigint | undefined;
  /** Number of groups of a log, or of chunks of a snapshot. */
  readonly frames: number | undefined;
  readonly batches: number | undefined;
  readonly records: number | undefined;
  readonly state: FileState;
  /** Offset at which the file is torn or damaged, and the reason. */
  readonly offset: number | undefined;
  readonly reason: string | undefined;
  readonly frameList: readonly FrameLine[];
}

function nothingKnown(name: string, kind: FileReport['kind']): Omit<FileReport, keyof Standing> {
  return {
    name,
    kind,
    bytes: undefined,
    format: undefined,
    epoch: undefined,
    firstSequence: undefined,
    lastSequence: undefined,
    frames: undefined,
    batches: undefined,
    records: undefined,
    frameList: [],
  };
}

type Standing = Pick<FileReport, 'state' | 'offset' | 'reason'>;

/** One report per name: snapshots, logs, then the others. */
export function reportFiles(survey: SurveyedFiles): FileReport[] {
  return [
    ...survey.snapshots.map((snapshot) => reportSnapshot(survey, snapshot)),
    ...survey.logs.map((log) => reportLog(survey, log)),
    ...survey.others.map(reportOther),
  ];
}

/** The state in words, with its offset. */
export function stateText(report: Standing): string {
  const { state, offset } = report;
  return offset === undefined ? state : `${state} at offset ${formatCount(offset)}`;
}

function standing(state: FileState): Standing {
  return { state, offset: undefined, reason: undefined };
}

function troubleOf(path: string, damages: readonly Damage[], refusal: Refusal | undefined) {
  if (refusal !== undefined) {
    return { state: 'unreadable' as const, offset: undefined, reason: refusal.message };
  }
  const damage = damages.find((one) => one.path === path);
  if (damage === undefined) return undefined;
  return { state: 'damaged' as const, offset: damage.offset, reason: damage.reason };
}

function reportSnapshot(survey: SurveyedFiles, snapshot: SnapshotSurvey): FileReport {
  const { name, path, header, state, damages, refusal, recordCount, frames } = snapshot;
  const isNewest = snapshot === survey.snapshots.at(-1);
  const isOurs = state?.format === 'lodestore';
  return {
    ...nothingKnown(name, 'snapshot'),
    bytes: survey.sizes.get(name),
    format: header === undefined ? state?.format : 'lodestore',
    epoch: header?.epoch,
    lastSequence: header?.predecessor.lastSequence,
    frames: isOurs ? state.file.index.entries.length : undefined,
    records: recordCount,
    frameList: frames,
    ...(isNewest
      ? (troubleOf(path, damages, refusal) ?? standing('newest'))
      : standing('merged leftover')),
  };
}

function reportLog(survey: SurveyedFiles, log: LogSurvey): FileReport {
  const { name, scan } = log;
  const bytes = survey.sizes.get(name);
  const file = { ...nothingKnown(name, 'log'), bytes, ...standingOf(survey, log) };
  if (scan === undefined) return file;
  const before = scan.header?.predecessor.lastSequence;
  const holdsBatches = before !== undefined && scan.batchCount > 0;
  return {
    ...file,
    format: scan.format === 'empty' ? undefined : scan.format,
    epoch: scan.header?.epoch,
    firstSequence: holdsBatches ? before + 1n : undefined,
    lastSequence: holdsBatches ? scan.lastSequence : undefined,
    frames: scan.frameCount,
    batches: scan.batchCount,
    records: scan.recordCount,
    frameList: log.frames,
  };
}

function standingOf(survey: SurveyedFiles, log: LogSurvey): Standing {
  const newest = survey.snapshots.at(-1)?.number ?? -1;
  const { scan, path, refusal, number } = log;
  // Recovery does not read it.
  if (number <= newest) return standing('merged leftover');
  const trouble = troubleOf(path, survey.damages, refusal);
  if (trouble !== undefined || scan === undefined) return trouble ?? standing('unreadable');
  if (survey.verdict?.blankPaths.includes(path) === true) return standing('prepared');
  if (scan.ending.kind === 'broken') {
    return { state: 'torn', offset: scan.validBytes, reason: scan.ending.reason };
  }
  if (scan.ending.kind === 'sealed') return standing('sealed');
  return standing(path === survey.verdict?.logs.at(-1)?.path ? 'open' : 'unsealed');
}

function reportOther({ name, kind, bytes }: OtherFile): FileReport {
  const state = kind === 'temporary' || kind === 'foreign' ? kind : 'present';
  return { ...nothingKnown(name, kind), bytes, ...standing(state) };
}

import type { FileSystem } from '../fs/file-system.ts';
import { basename } from 'node:path';
import { FileWindow } from '../fs/file-window.ts';
import type { TornTail } from '../store/recovery/recovery-report.ts';
import type { SurveyedFiles } from './surveyed-files.ts';

/** What opening the store would do. */
export interface Opening {
  readonly snapshot:
    | {
        readonly number: number;
        readonly format: 'lodestore' | 'ancestor';
        readonly records: number | undefined;
      }
    | undefined;
  /** Names of the logs to replay, in order. */
  readonly logs: readonly string[];
  readonly batches: number;
  readonly updates: number;
  readonly lastSequence: bigint;
  /** A torn write. `bytes`: from `offset` to the last non-zero byte. */
  readonly torn:
    | {
        readonly name: string;
        readonly offset: number;
        readonly bytes: number;
        readonly reason: string;
        /**
         * Last batch found after the torn write, if groups after it were written without a sync.
         */
        readonly unsyncedUpTo: bigint | undefined;
      }
    | undefined;
  /** Names of the files to remove. */
  readonly leftovers: readonly string[];
}

/** Undefined unless the store would open. */
export async function describeOpening(
  fs: FileSystem,
  survey: SurveyedFiles,
): Promise<Opening | undefined> {
  const { verdict, outcome } = survey;
  if (outcome !== 'opens' || verdict === undefined) return undefined;
  const newest = survey.snapshots.at(-1);
  const state = newest?.state;
  const replayed = verdict.logs.filter((log) => log.scan.frameCount > 0);
  return {
    snapshot: state && { number: state.number, format: state.format, records: newest?.recordCount },
    logs: replayed.map((log) => basename(log.path)),
    batches: replayed.reduce((sum, log) => sum + log.scan.batchCount, 0),
    updates: replayed.reduce((sum, log) => sum + log.scan.recordCount, 0),
    lastSequence: verdict.last.lastSequence,
    torn: verdict.torn && (await describeTorn(fs, verdict.torn)),
    leftovers: leftoversOf(survey),
  };
}

async function describeTorn(fs: FileSystem, torn: TornTail): Promise<Opening['torn']> {
  const { path, offset, reason, unsyncedUpTo } = torn;
  const bytes = await writtenBytes(fs, path, offset);
  return { name: basename(path), offset, bytes, reason, unsyncedUpTo };
}

/** Bytes from `offset` to the last non-zero byte. Zeros reserved in advance do not count. */
async function writtenBytes(fs: FileSystem, path: string, offset: number): Promise<number> {
  const file = await fs.open(path, 'r');
  try {
    const { sizeBytes } = await file.stat();
    const window = new FileWindow(file, sizeBytes);
    let end = offset;
    for (let position = offset; ;) {
      const bytes = await window.some(position);
      if (bytes.length === 0) return end - offset;
      const last = bytes.findLastIndex((byte) => byte !== 0);
      if (last >= 0) end = position + last + 1;
      position += bytes.length;
    }
  } finally {
    await file.close();
  }
}

/** The files that repair removes at an open. */
function leftoversOf(survey: SurveyedFiles): string[] {
  const { snapshots, logs, others, verdict } = survey;
  const newest = snapshots.at(-1)?.number ?? -1;
  const dead = [
    ...others.filter((other) => other.kind === 'temporary'),
    ...logs.filter((log) => log.number <= newest),
    ...snapshots.slice(0, -1),
  ].map((file) => file.name);
  if (verdict?.tail?.kind === 'discard') dead.push(basename(verdict.tail.path));
  dead.push(...(verdict?.blankPaths ?? []).map((path) => basename(path)));
  return dead;
}

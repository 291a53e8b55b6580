import { equalBytes } from '../base/bytes.ts';
import type { CorruptionDetail } from '../base/errors.ts';
import type { FileHeader } from '../format/file-header.ts';
import { storeIdOf, type SnapshotState } from '../store/recovery/snapshot-state.ts';
import {
  holdsStore,
  judgeDirectory,
  type DirectoryContents,
} from '../store/recovery/directory-state.ts';
import { isBlank, type LoadedLog, type Verdict } from '../store/recovery/verdict.ts';
import type { Damage } from './damage.ts';
import type { LogSurvey } from './log-survey.ts';
import type { SnapshotSurvey } from './snapshot-survey.ts';
import type { Refusal } from './survey-options.ts';

/** The result that an open of the directory would have. */
export interface Judgement {
  readonly outcome: 'opens' | 'damaged' | 'refused' | 'no store';
  readonly damages: readonly Damage[];
  readonly refusals: readonly Refusal[];
  /** Undefined if a log could not be read, because the rest then cannot be judged. */
  readonly verdict: Verdict | undefined;
  readonly storeId: Uint8Array | undefined;
}

/**
 * Judges the logs that are newer than the newest snapshot, by the rules of recovery. For a damaged
 * snapshot it uses a placeholder, so that damage in the logs is also found.
 */
export function judgeSurvey(
  { directory, claim }: Pick<DirectoryContents, 'directory' | 'claim'>,
  newest: SnapshotSurvey | undefined,
  logs: readonly LogSurvey[],
): Judgement {
  const newer = logs.filter((log) => log.number > (newest?.number ?? -1));
  const refusals = [newest?.refusal, ...newer.map((log) => log.refusal)].filter(
    (refusal) => refusal !== undefined,
  );
  const damages = [...(newest?.damages ?? [])];
  const snapshot = newest === undefined ? undefined : (newest.state ?? standIn(newest, newer));
  const storeId = findStoreId(newest, newer) ?? storeIdOf(snapshot);
  if (refusals.length > 0) {
    return { outcome: 'refused', damages, refusals, verdict: undefined, storeId };
  }
  const loaded: LoadedLog[] = newer.flatMap(({ number, path, scan }) =>
    scan === undefined ? [] : [{ number, path, scan, run: [] }],
  );
  const verdict = judgeDirectory({ directory, snapshot, storeId, claim }, loaded);
  damages.push(...explain(verdict.damages, newest, newer));
  const hasStore = holdsStore({ snapshot }, verdict);
  const outcome = damages.length > 0 ? 'damaged' : hasStore ? 'opens' : 'no store';
  return { outcome, damages, refusals, verdict, storeId: hasStore ? storeId : undefined };
}

/**
 * Adds the affected batches to damages. A log that does not fit its predecessor shows which batches
 * are missing between them. If the predecessor is known to be damaged, this adds nothing and is
 * left out.
 */
function explain(
  damages: readonly CorruptionDetail[],
  newest: SnapshotSurvey | undefined,
  logs: readonly LogSurvey[],
): Damage[] {
  return damages.flatMap((damage) => {
    // Damage found by the claim already has its batches.
    if (damage.lastSequence !== undefined) return [damage];
    const at = logs.findIndex((log) => log.path === damage.path);
    const log = logs[at];
    const header = log?.scan?.header;
    const before = logs[at - 1];
    if (damage.offset > 0 || header === undefined) {
      return [withLastSequence(damage, logs[at + 1])];
    }
    const isDamagedBefore = damages.some((other) => other.path === before?.path);
    if (isDamagedBefore && header.predecessor.number === before?.number) {
      const isSameStore = hasSameOrigin(header, before.scan?.header);
      if (isSameStore) return [];
    }
    const last = before?.scan?.lastSequence ?? newest?.header?.predecessor.lastSequence ?? 0n;
    const { lastSequence } = header.predecessor;
    const missing =
      lastSequence > last
        ? { firstSequence: last + 1n, lastSequence }
        : { firstSequence: undefined, lastSequence: undefined };
    return [{ ...damage, ...missing, affectedBytes: undefined }];
  });
}

function hasSameOrigin(header: FileHeader, before: FileHeader | undefined): boolean {
  if (before === undefined) return true;
  return equalBytes(header.storeId, before.storeId) && header.epoch >= before.epoch;
}

/** The successor of a damaged log records where that log ended. */
function withLastSequence(damage: CorruptionDetail, next: LogSurvey | undefined): Damage {
  const { firstSequence } = damage;
  const lastSequence = next?.scan?.header?.predecessor.lastSequence;
  if (firstSequence === undefined || lastSequence === undefined) return damage;
  return lastSequence < firstSequence ? damage : { ...damage, lastSequence };
}

/**
 * The id in the snapshot, or in the first log with a valid header. Undefined if neither has one. A
 * log of the ancestor without a snapshot has the id that recovery derives.
 */
function findStoreId(
  newest: SnapshotSurvey | undefined,
  logs: readonly LogSurvey[],
): Uint8Array | undefined {
  if (newest?.header !== undefined) return newest.header.storeId;
  if (newest?.state !== undefined) return storeIdOf(newest.state);
  const first = logs.find(({ scan }) => scan !== undefined && !isBlank(scan))?.scan;
  if (newest === undefined && first?.format === 'ancestor') return undefined;
  return logs.find((log) => log.scan?.header !== undefined)?.scan?.header?.storeId;
}

/** A placeholder for a damaged snapshot that the following logs would fit. */
function standIn(newest: SnapshotSurvey, logs: readonly LogSurvey[]): SnapshotState {
  const { number, path } = newest;
  const first = logs.find((log) => log.scan?.header !== undefined)?.scan?.header;
  const successor =
    first === undefined ? undefined : { ...first, kind: 'snapshot' as const, epoch: 0 };
  const header = newest.header ?? successor;
  if (header === undefined) {
    return { format: 'ancestor', number, path, fileBytes: 0, checksum: 0 };
  }
  const index = { entries: [], totals: { recordCount: 0, dataBytes: 0 } };
  const file = { kind: 'snapshot' as const, header, index, fileBytes: 0, chain: 0 };
  return { format: 'lodestore', number, path, fileBytes: 0, file };
}

import type { Columns } from '../../format/columns.ts';
import type { RunPart } from '../../runs/interval-deletes.ts';
import type { Loss } from '../recovery/recovery-report.ts';

/** The salvaged part of a log, and its losses. */
export interface SalvagedLog {
  readonly parts: readonly RunPart[];
  /**
   * In order of offsets. If the log does not tell how many batches are lost at its end, the last
   * loss has a first sequence number without a last one.
   */
  readonly losses: readonly Loss[];
  /** The last sequence number before the log, if the log records it. */
  readonly before: bigint | undefined;
  /** The last sequence number that the log is known to have held. */
  readonly lastSequence: bigint;
}

/** False if the lost bytes held no record, and no record is other than it was. */
export function concernsRecords(loss: Loss): boolean {
  const { firstSequence, firstKey, olderValuesMayShow } = loss;
  return firstSequence !== undefined || firstKey !== undefined || olderValuesMayShow;
}

/**
 * Added to the last sequence number if batches or records are lost, or if that number is unknown:
 * a snapshot with a damaged header may have had batches after the last one that another file names.
 * Otherwise a follower of the
 * change feed that has seen a lost batch would take a later batch for it; with the gap, its
 * position is rejected. Larger than the number of batches in any logs.
 */
const SEQUENCE_GAP: bigint = 2n ** 40n;

/**
 * The last sequence number of the store that salvage writes. Above 0 if it has records, which shows
 * that its first snapshot is not the empty one of a new store.
 */
export function sequenceAfterSalvage(found: {
  readonly lastSequence: bigint;
  readonly isSequenceKnown: boolean;
  readonly columns: readonly Columns[];
  readonly losses: readonly Loss[];
}): bigint {
  const isLossy = found.losses.some(concernsRecords);
  if (isLossy || !found.isSequenceKnown) return found.lastSequence + SEQUENCE_GAP;
  const isUnnumbered = found.lastSequence === 0n && found.columns.length > 0;
  return isUnnumbered ? 1n : found.lastSequence;
}

/** Unusable bytes of a log, and the lost batches. */
export function lossOf(
  path: string,
  reason: string,
  fromOffset: number,
  toOffset: number,
  firstSequence: bigint | undefined,
  lastSequence: bigint | undefined,
): Loss {
  return {
    path,
    quarantined: undefined,
    reason,
    fromOffset,
    toOffset,
    firstSequence,
    lastSequence,
    firstKey: undefined,
    lastKey: undefined,
    olderValuesMayShow: firstSequence !== undefined,
  };
}

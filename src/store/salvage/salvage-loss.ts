import type { Columns } from '../../format/columns.ts';
import type { Loss } from '../recovery/recovery-report.ts';

/** What a log yields, and what of it is gone. */
export interface SalvagedLog {
  readonly run: readonly Columns[];
  /**
   * In order of offsets. The last one has a first sequence without a last where the log does not
   * tell.
   */
  readonly losses: readonly Loss[];
  /** The last sequence before the log, where it tells. */
  readonly before: bigint | undefined;
  /** The last sequence that the log is known to have held. */
  readonly lastSequence: bigint;
}

/**
 * Added to the last sequence number if batches or records are lost. A follower of the change feed
 * that has seen a lost batch must not take a later one for it: its position is refused instead.
 * Larger than the number of batches that any logs could have held.
 */
const SEQUENCE_GAP: bigint = 2n ** 40n;

/** The last sequence number of the store that salvage writes. */
export function sequenceAfterSalvage(found: {
  readonly lastSequence: bigint;
  readonly losses: readonly Loss[];
}): bigint {
  const isLossy = found.losses.some(
    (loss) => loss.firstSequence !== undefined || loss.firstKey !== undefined,
  );
  return found.lastSequence + (isLossy ? SEQUENCE_GAP : 0n);
}

/** Bytes of a log that could not be used, and the batches that are gone with them. */
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

import type { Columns } from '../../format/columns.ts';
import type { Loss } from '../recovery/recovery-report.ts';

/** What a log yields, and what of it is gone. */
export interface SalvagedLog {
  readonly run: readonly Columns[];
  /** In order of offsets. The last one has a first sequence without a last where the log does not tell. */
  readonly losses: readonly Loss[];
  /** The last sequence before the log, where it tells. */
  readonly before: bigint | undefined;
  /** The last sequence that the log is known to have held. */
  readonly lastSequence: bigint;
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

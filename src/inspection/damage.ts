import type { CorruptionDetail } from '../base/errors.ts';

/** Damage. For a damaged chunk, also the range and number of its records. */
export interface Damage extends CorruptionDetail {
  readonly firstKey?: bigint | undefined;
  readonly lastKey?: bigint | undefined;
  readonly records?: number | undefined;
}

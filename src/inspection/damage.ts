import type { CorruptionDetail } from '../base/errors.ts';

/** Damage, and which records are concerned where it is a chunk's. */
export interface Damage extends CorruptionDetail {
  readonly firstKey?: bigint | undefined;
  readonly lastKey?: bigint | undefined;
  readonly records?: number | undefined;
}

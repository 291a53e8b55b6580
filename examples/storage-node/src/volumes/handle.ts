/** Maximum volume number: a handle has 24 bits for it, and 40 bits for the offset. */
export const MAX_VOLUME_NUMBER = 0xff_ffff;

const OFFSET_BITS = 40n;

/** The place of a record's start. */
export interface Place {
  readonly volume: number;
  readonly offset: number;
}

/** As the value of a record in lodestore. Never 0, because volume numbers start at 1. */
export function handleOf(volume: number, offset: number): bigint {
  return (BigInt(volume) << OFFSET_BITS) | BigInt(offset);
}

export function placeOf(handle: bigint): Place {
  return {
    volume: Number(handle >> OFFSET_BITS),
    offset: Number(handle & 0xff_ffff_ffffn),
  };
}

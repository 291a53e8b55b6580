import { viewOf } from '../../src/base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES } from '../../src/base/limits.ts';
import type { Random } from '../../src/testing/engine/random.ts';

/** Inputs stay small: many short executions find more than few long ones. */
const MAX_INPUT_BYTES = 128 * 1024;

const U32: readonly number[] = [
  0,
  1,
  2,
  3,
  4,
  8,
  0x7f,
  0xff,
  0x100,
  0xffff,
  0x1_0000,
  MAX_FRAME_DECODED_BYTES / 8,
  MAX_FRAME_DECODED_BYTES,
  MAX_FRAME_DECODED_BYTES + 1,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fffe,
  0xffff_ffff,
];

const U64: readonly bigint[] = [
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n - 2n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 2n,
  2n ** 64n - 1n,
];

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)]!;
}

/** True once in `n` times. */
export function oneIn(random: Random, n: number): boolean {
  return random.below(n) === 0;
}

export function noise(random: Random, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) bytes[i] = random.below(256);
  return bytes;
}

/** A number near a limit, near the current value, or any. */
export function strangeU32(random: Random, present: number): number {
  switch (random.below(4)) {
    case 0:
      return (present + random.below(9) - 4) >>> 0;
    case 1:
      return random.below(0x1_0000_0000);
    case 2:
      return random.below(64);
    default:
      return pick(random, U32);
  }
}

export function strangeU64(random: Random, present: bigint): bigint {
  switch (random.below(4)) {
    case 0:
      return BigInt.asUintN(64, present + BigInt(random.below(9) - 4));
    case 1:
      return BigInt(strangeU32(random, Number(present & 0xffff_ffffn)));
    case 2:
      return (BigInt(random.below(0x1_0000_0000)) << 32n) | BigInt(random.below(0x1_0000_0000));
    default:
      return pick(random, U64);
  }
}

/**
 * Puts an unusual number into the field of `width` bytes (1, 2, 4 or 8) at `offset`, if it fits.
 */
export function disturb(random: Random, bytes: Uint8Array, offset: number, width: number): void {
  if (offset + width > bytes.length) return;
  const view = viewOf(bytes);
  if (width === 8) {
    view.setBigUint64(offset, strangeU64(random, view.getBigUint64(offset, true)), true);
  } else if (width === 4) {
    view.setUint32(offset, strangeU32(random, view.getUint32(offset, true)), true);
  } else if (width === 2) {
    view.setUint16(offset, strangeU32(random, view.getUint16(offset, true)), true);
  } else {
    view.setUint8(offset, random.below(oneIn(random, 2) ? 10 : 256));
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

type Step = (random: Random, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

function rangeIn(random: Random, bytes: Uint8Array, limit: number): [number, number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + 1 + random.below(limit))];
}

const IN_PLACE: readonly Step[] = [
  (random, bytes) => {
    const at = random.below(bytes.length);
    bytes[at]! ^= 1 << random.below(8);
    return bytes;
  },
  (random, bytes) => {
    bytes[random.below(bytes.length)] = pick(random, [0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
    return bytes;
  },
  (random, bytes) => {
    disturb(random, bytes, random.below(bytes.length), pick(random, [4, 8]));
    return bytes;
  },
  (random, bytes) => bytes.fill(pick(random, [0, 0xff, 0xb5]), ...rangeIn(random, bytes, 600)),
  (random, bytes) => bytes.copyWithin(random.below(bytes.length), ...rangeIn(random, bytes, 200)),
];

const RESIZING: readonly Step[] = [
  (random, bytes) => bytes.slice(0, random.below(bytes.length + 1)),
  (random, bytes) => joined(bytes, new Uint8Array(random.below(700))),
  (random, bytes) => joined(bytes, noise(random, 1 + random.below(80))),
  (random, bytes) => {
    const [from, to] = rangeIn(random, bytes, 300);
    return joined(bytes.subarray(0, from), bytes.subarray(to));
  },
  (random, bytes) => {
    const [from, to] = rangeIn(random, bytes, 300);
    return joined(bytes.subarray(0, to), bytes.subarray(from));
  },
  (random, bytes, other) => {
    const at = random.below(bytes.length + 1);
    return joined(bytes.subarray(0, at), other.subarray(random.below(other.length + 1)));
  },
  (random, bytes, other) => {
    const at = random.below(bytes.length + 1);
    const part = other.subarray(...rangeIn(random, other, 500));
    return joined(bytes.subarray(0, at), part, bytes.subarray(at + part.length));
  },
];

/** A copy with one to eight changes, with pieces from `other`. Its length may change. */
export function mutated(random: Random, original: Uint8Array, other: Uint8Array): Uint8Array {
  let bytes: Uint8Array = original.slice();
  for (let steps = 1 + random.below(8); steps > 0; steps--) {
    const resizes = bytes.length === 0 || oneIn(random, 3);
    bytes = pick(random, resizes ? RESIZING : IN_PLACE)(random, bytes, other);
    if (bytes.length > MAX_INPUT_BYTES) bytes = bytes.slice(0, MAX_INPUT_BYTES);
  }
  return bytes;
}

/** As `mutated`, but keeps the length. */
export function mutatedInPlace(random: Random, original: Uint8Array): Uint8Array {
  let bytes: Uint8Array = original.slice();
  if (bytes.length === 0) return bytes;
  for (let steps = 1 + random.below(4); steps > 0; steps--) {
    bytes = pick(random, IN_PLACE)(random, bytes, bytes);
  }
  return bytes;
}

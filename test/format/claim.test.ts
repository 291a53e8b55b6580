import { describe, expect, test } from 'vitest';
import {
  CLAIM_AREA_BYTES,
  CLAIM_SECTOR_BYTES,
  encodeClaim,
  newestClaim,
  type Claim,
} from '../../src/format/claim.ts';
import { decodeClaim } from '../support/independent-decoder-claim.ts';

const CLAIM: Claim = {
  storeId: new Uint8Array(16).fill(7),
  number: 2 ** 52 - 1,
  lengthBytes: 2 ** 53 - 1,
  lastSequence: 2n ** 64n - 1n,
};
const LATER: Claim = { ...CLAIM, storeId: new Uint8Array(16).fill(8), number: 3, lengthBytes: 0 };

/** Both sectors, with these claims and generations. */
function areaOf(...sectors: readonly (readonly [Claim, bigint] | undefined)[]): Uint8Array {
  const area = new Uint8Array(CLAIM_AREA_BYTES);
  for (const [i, one] of sectors.entries()) {
    if (one === undefined) continue;
    area.set(encodeClaim(one[0], one[1], i === 0 ? 0 : 1), i * CLAIM_SECTOR_BYTES);
  }
  return area;
}

describe('the newest claim', () => {
  test.each([
    ['the only one', areaOf([CLAIM, 1n]), 0],
    ['the only one, in the second sector', areaOf(undefined, [CLAIM, 1n]), 1],
    ['the first of two', areaOf([CLAIM, 2n], [LATER, 1n]), 0],
    ['the second of two', areaOf([LATER, 1n], [CLAIM, 2n]), 1],
    ['across the wrap of the generation', areaOf([CLAIM, 0n], [LATER, 2n ** 64n - 1n]), 0],
    ['before the wrap', areaOf([LATER, 2n ** 64n - 2n], [CLAIM, 2n ** 64n - 1n]), 1],
  ])('%s', (_what, area, sector) => {
    expect(newestClaim(area)).toMatchObject({ claim: CLAIM, sector });
    const file = new Uint8Array(4096 + CLAIM_AREA_BYTES);
    file.set(area, 4096);
    const { storeId, ...rest } = CLAIM;
    expect(decodeClaim(file)).toEqual({ ...rest, storeId: Buffer.from(storeId) });
  });

  test('does not exist in an empty file, a truncated one, zeros, or junk', () => {
    for (const area of [
      new Uint8Array(0),
      areaOf([CLAIM, 1n]).subarray(0, CLAIM_SECTOR_BYTES - 1),
      areaOf(),
      areaOf().fill(0xa5),
    ]) {
      expect(newestClaim(area)).toBeUndefined();
    }
  });

  test("is the other sector's when any byte of a sector differs", () => {
    for (let at = 0; at < CLAIM_SECTOR_BYTES; at++) {
      const area = areaOf([LATER, 2n], [CLAIM, 1n]);
      area[at] = area[at]! ^ 0x10;
      expect(newestClaim(area)).toMatchObject({ claim: CLAIM, generation: 1n, sector: 1 });
    }
  });

  test("is not read from a sector in the other's place", () => {
    const area = areaOf([CLAIM, 1n]);
    area.copyWithin(CLAIM_SECTOR_BYTES, 0, CLAIM_SECTOR_BYTES);
    area.fill(0, 0, CLAIM_SECTOR_BYTES);
    expect(newestClaim(area)).toBeUndefined();
  });
});

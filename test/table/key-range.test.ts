import { describe, expect, it } from 'vitest';

import { MAX_U64 } from '../../src/base/limits.ts';
import { checkRange } from '../../src/table/layer/key-range.ts';

describe('checkRange', () => {
  it('covers all keys by default', () => {
    const all = { lowest: 0n, highest: MAX_U64, reverse: false, limit: Infinity };
    expect(checkRange()).toEqual(all);
    expect(checkRange({ gte: undefined, limit: undefined, reverse: undefined })).toEqual(all);
  });

  it('uses the narrower of two bounds', () => {
    expect(checkRange({ gte: 5, gt: 5n, lte: 9n, lt: 20 })).toMatchObject({
      lowest: 6n,
      highest: 9n,
    });
    expect(checkRange({ gte: 7, gt: 5n, lte: 9n, lt: 9 })).toMatchObject({
      lowest: 7n,
      highest: 8n,
    });
  });

  it.each([{ gt: MAX_U64 }, { lt: 0 }, { gte: 6, lte: 5 }, { gt: 5, lt: 6 }])(
    'is empty if bounds cross: %o',
    (options) => {
      const { lowest, highest } = checkRange(options);
      expect(lowest > highest).toBe(true);
    },
  );

  it.each([
    [{ gte: '5' }, TypeError, /gte/],
    [{ gt: -1 }, RangeError, /gt/],
    [{ lte: 1.5 }, RangeError, /lte/],
    [{ lt: 2n ** 64n }, RangeError, /lt/],
    [{ reverse: 1 }, TypeError, /reverse/],
    [{ limit: '3' }, TypeError, /limit/],
    [{ limit: -1 }, RangeError, /limit/],
    [{ limit: 0.5 }, RangeError, /limit/],
    [{ limit: NaN }, RangeError, /limit/],
    [null, TypeError, /options/],
    [5, TypeError, /options/],
  ])('refuses %o', (options, type, message) => {
    expect(() => checkRange(options as object)).toThrow(type);
    expect(() => checkRange(options as object)).toThrow(message);
  });
});

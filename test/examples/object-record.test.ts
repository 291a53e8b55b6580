import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeName,
  decodeRecord,
  encodeRecord,
} from '../../examples/storage-node/object-record.mjs';

const place = {
  volume: fc.integer({ min: 1, max: 2 ** 24 - 1 }),
  offset: fc.integer({ min: 0, max: 2 ** 40 - 1 }),
};
const extent = fc.record({ ...place, lengthBytes: fc.integer({ min: 0, max: 2 ** 32 - 1 }) });

const storedObject = fc
  .record({
    name: fc.string({ unit: 'binary', maxLength: 300 }),
    sha256: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    contentType: fc.string({ maxLength: 50 }),
    createdMs: fc.nat(),
    extents: fc.array(extent, { minLength: 1, maxLength: 5 }),
  })
  .map((object) => ({
    ...object,
    lengthBytes: object.extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
  }));

describe('the record of an object', () => {
  test('reads as it was written', () => {
    fc.assert(
      fc.property(storedObject, (object) => {
        const record = encodeRecord(object);
        expect(record.value).not.toBe(0n);
        expect(decodeRecord(record)).toEqual(object);
        expect(decodeName(record)).toBe(object.name);
      }),
    );
  });

  test('of another length is refused', () => {
    fc.assert(
      fc.property(storedObject, fc.nat(), (object, cut) => {
        const { value, data } = encodeRecord(object);
        const short = data.subarray(0, cut % data.length);
        expect(() => decodeRecord({ value, data: short })).toThrow('a record of');
      }),
    );
  });
});

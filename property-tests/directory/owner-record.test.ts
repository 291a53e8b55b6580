import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OwnerRecord } from '../../src/directory/owner-record.ts';
import { decodeOwnerRecord, encodeOwnerRecord } from '../../src/directory/owner-record.ts';

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const record: fc.Arbitrary<OwnerRecord> = fc.record({
  pid: fc.nat(),
  processStartTicks: optional(fc.maxSafeNat()),
  bootId: optional(fc.string({ unit: 'grapheme' })),
  machineId: optional(fc.string()),
  hostName: fc.string({ unit: 'grapheme', maxLength: 255 }),
  nonce: fc.uuid(),
  openedAtMs: fc.maxSafeNat(),
  epoch: optional(fc.maxSafeNat()),
  lockFile: optional(fc.string()),
});

test('an owner record is read back unchanged', () => {
  fc.assert(
    fc.property(record, (owner) => {
      expect(decodeOwnerRecord(encodeOwnerRecord(owner))).toEqual(owner);
    }),
  );
});

test('of two records that partly overwrite each other, none or a whole one is read', () => {
  fc.assert(
    fc.property(record, record, fc.nat(600), fc.nat(600), (one, other, from, length) => {
      const mixed = encodeOwnerRecord(one);
      const over = encodeOwnerRecord(other).subarray(from, from + length);
      mixed.set(
        over.subarray(0, Math.max(mixed.byteLength - from, 0)),
        Math.min(from, mixed.byteLength),
      );
      const decoded = decodeOwnerRecord(mixed);
      expect([undefined, one, other]).toContainEqual(decoded);
    }),
  );
});

test('garbage is not an owner record', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (garbage) => {
      expect(decodeOwnerRecord(garbage)).toBeUndefined();
    }),
  );
});

test('a checksum after another line does not make an owner record', () => {
  fc.assert(
    fc.property(record, fc.json(), (owner, json) => {
      const text = new TextDecoder().decode(encodeOwnerRecord(owner));
      const replaced = `${json}${text.slice(text.indexOf('\n'))}`;
      expect(decodeOwnerRecord(new TextEncoder().encode(replaced))).toBeUndefined();
    }),
  );
});

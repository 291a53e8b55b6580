import { describe, expect, test } from 'vitest';
import type { OwnerRecord } from '../../src/directory/owner-record.ts';
import {
  decodeOwnerRecord,
  encodeOwnerRecord,
  isSameMachine,
  MAX_RECORD_BYTES,
} from '../../src/directory/owner-record.ts';

const RECORD: OwnerRecord = {
  pid: 123,
  processStartTicks: 4567,
  bootId: 'boot 1',
  machineId: 'machine 1',
  hostName: 'hösť',
  nonce: 'nonce 1',
  openedAtMs: 1_700_000_000_000,
  epoch: 9,
  lockFile: '18446744073709551615',
};

describe('an owner record', () => {
  test('is read back unchanged', () => {
    expect(decodeOwnerRecord(encodeOwnerRecord(RECORD))).toEqual(RECORD);
  });

  test('may lack fields that the system does not provide', () => {
    const sparse: OwnerRecord = {
      ...RECORD,
      processStartTicks: undefined,
      bootId: undefined,
      machineId: undefined,
      epoch: undefined,
    };
    expect(decodeOwnerRecord(encodeOwnerRecord(sparse))).toEqual(sparse);
  });

  test('fits its bound for any length of the host name', () => {
    const long = encodeOwnerRecord({ ...RECORD, hostName: 'h'.repeat(255) });
    expect(long.byteLength).toBeLessThan(MAX_RECORD_BYTES);
  });

  test('is invalid when truncated anywhere', () => {
    const bytes = encodeOwnerRecord(RECORD);
    const wholeBytes = new TextDecoder().decode(bytes).trimEnd().length;
    for (let length = 0; length < wholeBytes; length++) {
      expect(decodeOwnerRecord(bytes.subarray(0, length))).toBeUndefined();
    }
  });

  test('is the new one when the rest of a longer one follows it', () => {
    const bytes = Uint8Array.of(...encodeOwnerRecord(RECORD), 0x22, 0x7d, 0x0a);
    expect(decodeOwnerRecord(bytes)).toEqual(RECORD);
  });
});

describe('two processes belong to one machine', () => {
  test.each<[string, boolean, Partial<OwnerRecord>]>([
    ['the same boot', true, {}],
    ['the same boot, in a container of another name', true, { hostName: 'b', machineId: 'm2' }],
    ['another boot of the same machine', true, { bootId: 'b2' }],
    ['another boot, another machine', false, { bootId: 'b2', machineId: 'm2' }],
    ['another boot, a machine of the same image', false, { bootId: 'b2', hostName: 'b' }],
    ['another boot, a machine without an id', false, { bootId: 'b2', machineId: undefined }],
    ['no boot id, the same machine', true, { bootId: undefined }],
    ['no boot id, another machine', false, { bootId: undefined, machineId: 'm2' }],
    ['no ids, the same name', true, { bootId: undefined, machineId: undefined }],
    ['no ids, another name', false, { bootId: undefined, machineId: undefined, hostName: 'b' }],
  ])('%s: %s', (_, same, difference) => {
    const other: OwnerRecord = { ...RECORD, ...difference };
    expect(isSameMachine(RECORD, other)).toBe(same);
    expect(isSameMachine(other, RECORD)).toBe(same);
  });
});

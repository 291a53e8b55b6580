import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES, MAX_FRAME_PAYLOAD_BYTES } from '../../src/base/limits.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { compressedBound, compressInto } from '../../src/format/compression.ts';
import {
  decodeFrameHeader,
  decodePayload,
  encodeFrame,
  FRAME_HEADER_BYTES,
  isFrameHeader,
  type FrameFields,
  type FrameHeader,
} from '../../src/format/frame.ts';
import { sha256 } from '../support/golden.ts';
import { STORE_ID } from '../support/small-directory.ts';

const SEED = new ChecksumSeed(STORE_ID, 'log', 1);
const AT = 128;
const PAYLOAD = new Uint8Array(40).fill(7);

const FIELDS: FrameFields = {
  kind: 1,
  codec: 0,
  flags: 0,
  payloadBytes: 40,
  decodedBytes: 40,
  sequence: 2n ** 64n - 1n,
  batchCount: 1,
  recordCount: 2,
  chain: 0x0102_0304,
};

function encoded(fields: Partial<FrameHeader> = {}, payload: Uint8Array = PAYLOAD): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  bytes.set(payload, FRAME_HEADER_BYTES);
  const all = { ...FIELDS, payloadBytes: payload.length, ...fields };
  encodeFrame(bytes, 0, all, SEED, AT);
  return bytes;
}

/** Changes the header of a frame and corrects its checksum. */
function forged(change: (view: DataView) => void): Uint8Array {
  const bytes = encoded();
  const view = viewOf(bytes);
  change(view);
  view.setUint32(44, SEED.checksum(bytes.subarray(0, 44), AT), true);
  return bytes;
}

function reasonOf(bytes: Uint8Array, seed = SEED, at = AT): string {
  const result = decodeFrameHeader(bytes, 0, seed, at);
  return 'reason' in result ? `${result.kind}: ${result.reason}` : result.kind;
}

test('an encoded frame header is decoded unchanged and has the same bytes as ever', () => {
  const bytes = encoded();
  const result = decodeFrameHeader(bytes, 0, SEED, AT);
  expect(result).toMatchObject({ kind: 'frame', header: FIELDS });
  expect(sha256(bytes)).toBe('9ebd7975e2109ede29df9b423287f4802adf7dba97383f205cab6ebad5c36fa0');
});

test('zeros are the end, also fewer than a header', () => {
  expect(reasonOf(new Uint8Array(48))).toBe('end');
  expect(reasonOf(new Uint8Array(5))).toBe('end');
  expect(reasonOf(new Uint8Array(0))).toBe('end');
});

describe('torn', () => {
  test('cut short', () => {
    expect(reasonOf(encoded().subarray(0, 47))).toMatch(/^torn: the file ends inside/);
  });

  test('at another place, or in another file, store or kind of file', () => {
    const bytes = encoded();
    expect(reasonOf(bytes, SEED, AT + 1)).toMatch(/^torn/);
    expect(reasonOf(bytes, new ChecksumSeed(STORE_ID, 'log', 2))).toMatch(/^torn/);
    expect(reasonOf(bytes, new ChecksumSeed(STORE_ID, 'snapshot', 1))).toMatch(/^torn/);
    expect(reasonOf(bytes, new ChecksumSeed(new Uint8Array(16).fill(1), 'log', 1))).toMatch(
      /^torn/,
    );
    expect(isFrameHeader(bytes, 0, SEED, AT)).toBe(true);
    expect(isFrameHeader(bytes, 0, SEED, AT + 1)).toBe(false);
  });

  test('with any bit of the header flipped', () => {
    const unseen: number[] = [];
    for (let bit = 0; bit < 8 * FRAME_HEADER_BYTES; bit++) {
      const bytes = encoded();
      const view = viewOf(bytes);
      view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
      if (!reasonOf(bytes).startsWith('torn')) unseen.push(bit);
    }
    expect(unseen).toEqual([]);
  });
});

describe('corrupt: the checksum is valid, but the contents are impossible', () => {
  test.each<[string, (view: DataView) => void]>([
    ['kind 0', (view) => view.setUint8(4, 0)],
    ['kind 5', (view) => view.setUint8(4, 5)],
    ['codec 2', (view) => view.setUint8(5, 2)],
    ['flags 1', (view) => view.setUint16(6, 1, true)],
    ['flags 2', (view) => (view.setUint16(6, 2, true), view.setUint8(4, 2))],
    ['payload of 67108865 bytes', (view) => view.setUint32(8, MAX_FRAME_PAYLOAD_BYTES + 1, true)],
    ['decoded payload of', (view) => view.setUint32(12, MAX_FRAME_DECODED_BYTES + 1, true)],
    ['raw payload has two lengths', (view) => view.setUint32(12, 41, true)],
    ['129 bytes before the frame', (view) => view.setUint32(40, AT + 1, true)],
    ['counts 0 batches', (view) => view.setUint32(24, 0, true)],
  ])('%s', (reason, change) => {
    expect(reasonOf(forged(change))).toMatch(new RegExp(`^corrupt: .*${reason}`));
  });

  test.each<[string, Partial<FrameHeader>]>([
    ['a seal has a payload', { kind: 2, batchCount: 0 }],
    ['a frame of kind 2 counts 1 batches', { kind: 2, payloadBytes: 0, decodedBytes: 0 }],
    ['a frame of kind 3 counts 1 batches', { kind: 3 }],
    ['a chunk counts no records', { kind: 3, batchCount: 0, recordCount: 0 }],
    ['an index frame counts records', { kind: 4, batchCount: 0 }],
    [
      'a reserved byte of the frame header is not zero',
      { kind: 3, batchCount: 0, unprovenBytes: 1 },
    ],
  ])('%s', (reason, fields) => {
    expect(reasonOf(encoded(fields))).toBe(`corrupt: ${reason}`);
  });
});

function decode(bytes: Uint8Array, header: Partial<FrameHeader> = {}) {
  const result = decodeFrameHeader(bytes, 0, SEED, AT);
  if (result.kind !== 'frame') throw new Error(result.kind);
  const all = { ...result.header, ...header };
  return decodePayload(bytes.subarray(48), all, SEED, AT + 48);
}

describe('payload', () => {
  const text = new TextEncoder().encode('compress me '.repeat(40));
  const target = new Uint8Array(compressedBound(text.length));
  const stored = target.subarray(0, compressInto(target, text, 1));

  test('raw and compressed payloads are decoded', () => {
    expect(decode(encoded())).toEqual({ kind: 'payload', bytes: PAYLOAD });
    const bytes = encoded({ codec: 1, decodedBytes: text.length }, stored);
    expect(decode(bytes)).toEqual({ kind: 'payload', bytes: text });
  });

  test('changed bytes are torn', () => {
    const bytes = encoded();
    bytes[60] = 8;
    expect(decode(bytes)).toMatchObject({ kind: 'torn' });
  });

  test('a valid payload that does not decode to its length is corrupt', () => {
    for (const decodedBytes of [text.length - 1, text.length + 1]) {
      const bytes = encoded({ codec: 1, decodedBytes }, stored);
      expect(decode(bytes)).toMatchObject({ kind: 'corrupt' });
    }
    expect(decode(encoded({ codec: 1 }))).toMatchObject({ kind: 'corrupt' });
  });
});

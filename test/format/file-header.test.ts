import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/base/bytes.ts';
import { ChecksumSeed, type FileKind } from '../../src/format/checksum.ts';
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type NewFileHeader,
} from '../../src/format/file-header.ts';
import { sha256 } from '../support/golden.ts';
import { STORE_ID } from '../support/small-directory.ts';

const HEADER: NewFileHeader = {
  kind: 'log',
  storeId: STORE_ID,
  number: 7,
  epoch: 3,
  predecessor: { number: 6, lengthBytes: 4096, lastSequence: 2n ** 64n - 1n, chain: 0xdead_beef },
};

function encoded(header: Partial<NewFileHeader> = {}, version?: number): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER_BYTES).fill(0xff);
  encodeFileHeader(bytes, { ...HEADER, ...header }, version);
  return bytes;
}

/** Changes bytes and corrects the checksum. */
function forged(change: (view: DataView) => void, kind: FileKind = 'log', number = 7): Uint8Array {
  const bytes = encoded({ kind, number, predecessor: { ...HEADER.predecessor, number } });
  const view = viewOf(bytes);
  change(view);
  const seed = new ChecksumSeed(bytes.slice(16, 32), kind, number);
  view.setUint32(124, seed.checksum(bytes.subarray(0, 124), 0), true);
  return bytes;
}

function reasonOf(bytes: Uint8Array, kind: FileKind = 'log', number = 7): string {
  const result = decodeFileHeader(bytes, kind, number);
  return 'reason' in result ? `${result.kind}: ${result.reason}` : result.kind;
}

test('an encoded header is decoded unchanged and has the same bytes as ever', () => {
  const bytes = encoded();
  const result = decodeFileHeader(bytes, 'log', 7);
  const checksum = viewOf(bytes).getUint32(124, true);
  expect(result).toEqual({ kind: 'header', header: { ...HEADER, version: 2, checksum } });
  expect(sha256(encoded({}, 1))).toBe(
    '4ccfa47ce0f52626829ab08cad767a6f5af70099757deb3fd8165530e332be09',
  );
  const snapshot = { kind: 'snapshot' as const, number: 6 };
  expect(sha256(encoded(snapshot, 1))).toBe(
    '14118d259710d1df25c5412701487225690226e5f2376cd7cb16854944d0ccfa',
  );
});

test('zeros or nothing are an empty header; a different magic is foreign', () => {
  expect(reasonOf(new Uint8Array(128))).toBe('empty');
  expect(reasonOf(new Uint8Array(0))).toBe('empty');
  expect(reasonOf(encoded({ kind: 'snapshot', number: 6 }), 'log', 6)).toBe('foreign');
  const changed = encoded();
  changed[7] = 0xf0;
  expect(reasonOf(changed)).toBe('foreign');
});

describe('torn', () => {
  test.each([1, 3, 7, 8, 20, 127])('cut after %d bytes', (lengthBytes) => {
    expect(reasonOf(encoded().subarray(0, lengthBytes))).toMatch(/^torn: .*(ends inside|is cut)/);
  });

  test.each([1, 3, 7, 8, 20, 123])('zeros after %d bytes', (lengthBytes) => {
    expect(reasonOf(encoded().fill(0, lengthBytes))).toMatch(/^torn: /);
  });

  test('another version with an invalid checksum is not trusted', () => {
    const bytes = encoded();
    bytes[8] = 3;
    expect(reasonOf(bytes)).toBe('torn: the file header does not match its checksum');
  });

  test('a header with another kind of number field is not accepted', () => {
    const bytes = encoded();
    viewOf(bytes).setBigUint64(32, 2n ** 60n, true);
    expect(reasonOf(bytes)).toBe('torn: the file header does not match its checksum');
  });
});

test.each([
  ['log', 0],
  ['log', 4],
  ['snapshot', 0],
  ['snapshot', 3],
] as const)('a version that is not known is refused: %s %d', (kind, version) => {
  const bytes = forged((view) => view.setUint32(8, version, true), kind);
  expect(decodeFileHeader(bytes, kind, 7)).toEqual({ kind: 'unsupported', version });
});

test.each([1, 2])('a log of version %d is read', (version) => {
  expect(decodeFileHeader(encoded({}, version), 'log', 7)).toMatchObject({ header: { version } });
});

test.each([1, 2])('a snapshot of version %d is read', (version) => {
  const predecessor = { ...HEADER.predecessor, number: 7 };
  const bytes = encoded({ kind: 'snapshot', predecessor }, version);
  expect(decodeFileHeader(bytes, 'snapshot', 7)).toMatchObject({ header: { version } });
});

describe('corrupt: the checksum is valid, but the contents are impossible', () => {
  test('the header of another number', () => {
    expect(reasonOf(encoded({ number: 8 }))).toBe('corrupt: the file header is that of log 8');
    const bytes = forged((view) => view.setBigUint64(32, 9n, true));
    expect(reasonOf(bytes)).toBe('corrupt: the file header is that of log 9');
  });

  test.each<[string, (view: DataView) => void]>([
    ['has a wrong length', (view) => view.setUint32(12, 256, true)],
    ['epoch', (view) => view.setBigUint64(40, 2n ** 52n, true)],
    ['predecessor', (view) => view.setBigUint64(48, 2n ** 52n, true)],
    ['predecessor', (view) => view.setBigUint64(56, 2n ** 53n, true)],
    ['reserved', (view) => view.setUint8(76, 1)],
    ['reserved', (view) => view.setUint8(123, 1)],
  ])('%s', (reason, change) => {
    expect(reasonOf(forged(change))).toMatch(new RegExp(`^corrupt: .*${reason}`));
  });

  test('a snapshot whose name is not the last merged log', () => {
    const bytes = forged((view) => view.setBigUint64(48, 6n, true), 'snapshot');
    expect(reasonOf(bytes, 'snapshot')).toMatch(/^corrupt: .*named after another log/);
  });
});

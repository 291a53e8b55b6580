import { expect, test } from 'vitest';
import { crc32c } from '../../src/format/crc.ts';
import { READ_VERSION } from '../../src/format/file-header.ts';
import { decodeEntry, encodeEntry, type EntryFields } from '../../src/replicated/log/entry.ts';
import { LOG_START, LogChain } from '../../src/replicated/log/log-chain.ts';

const bytesOf = (from: number, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => from + i);

const TAKEOVER: EntryFields = {
  kind: 'takeover',
  codec: 0,
  rowsVersion: 0,
  logId: bytesOf(0x10, 16),
  epoch: 1n,
  firstSequence: 1n,
  batchCount: 0,
  recordCount: 0,
  decodedBytes: 1,
  payloadBytes: 1,
  pieceOffset: 0,
  previous: 0,
  nonce: bytesOf(0x40, 16),
  piece: Uint8Array.of(0x61),
};

/** One row: key 5, value 7, no data. */
const ROW = Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

const BATCHES: EntryFields = {
  ...TAKEOVER,
  kind: 'batches',
  rowsVersion: 2,
  batchCount: 1,
  recordCount: 1,
  decodedBytes: 20,
  payloadBytes: 20,
  previous: 0xd85f_80d8,
  piece: ROW,
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('the bytes of an entry are those of docs/FORMAT.md', () => {
  const head = [
    'b54c5345 01 02 00 00',
    '101112131415161718191a1b1c1d1e1f',
    '0100000000000000 0100000000000000',
    '00000000 00000000 01000000 01000000 00000000 00000000',
    '404142434445464748494a4b4c4d4e4f',
  ]
    .join('')
    .replaceAll(' ', '');
  const entry = encodeEntry(TAKEOVER);
  expect(hex(entry.subarray(0, 80))).toBe(head);
  expect(hex(entry.subarray(84))).toBe('61');
  const covered = Buffer.concat([Buffer.from(head, 'hex'), Buffer.from('61', 'hex')]);
  expect(Buffer.from(entry).readUInt32LE(80)).toBe(crc32c(covered));
  expect(decodeEntry(entry)).toEqual({ ...TAKEOVER, checksum: crc32c(covered) });
});

test('an entry with any changed byte is refused', () => {
  const entry = encodeEntry(BATCHES);
  for (let at = 0; at < entry.length; at++) {
    const changed = entry.slice();
    changed[at]! ^= 1;
    expect(typeof decodeEntry(changed), `byte ${at}`).toBe('string');
  }
});

test('a chain accepts only what continues it', () => {
  const first = encodeEntry(TAKEOVER);
  const previous = Buffer.from(first).readUInt32LE(80);
  const begin = (): LogChain => {
    const chain = new LogChain(LOG_START);
    expect(chain.take(1n, first)).toEqual({ kind: 'takeover', address: 'a' });
    return chain;
  };
  const good = { ...BATCHES, previous };
  const step = begin().take(2n, encodeEntry(good));
  expect(step).toMatchObject({ kind: 'group', group: { firstSequence: 1n, lastSequence: 1n } });
  const wrong: [bigint, Partial<EntryFields>][] = [
    [3n, {}],
    [2n, { previous: previous ^ 1 }],
    [2n, { logId: bytesOf(0x11, 16) }],
    [2n, { epoch: 2n }],
    [2n, { firstSequence: 2n }],
    [2n, { pieceOffset: 4, payloadBytes: 24, decodedBytes: 24 }],
    [2n, { kind: 'takeover', batchCount: 0, recordCount: 0, epoch: 1n }],
  ];
  for (const [position, fields] of wrong) {
    const entry = encodeEntry({ ...good, ...fields });
    expect(() => begin().take(position, entry)).toThrow('not the one');
  }
});

test('a chain accepts rows of all versions that are read, and refuses a newer one as such', () => {
  const first = encodeEntry(TAKEOVER);
  const previous = Buffer.from(first).readUInt32LE(80);
  const take = (rowsVersion: number) => {
    const chain = new LogChain(LOG_START);
    chain.take(1n, first);
    return chain.take(2n, encodeEntry({ ...BATCHES, previous, rowsVersion }));
  };
  for (let rowsVersion = 1; rowsVersion <= READ_VERSION.log; rowsVersion++) {
    expect(take(rowsVersion)).toMatchObject({ kind: 'group', group: { rowsVersion } });
  }
  expect(() => take(READ_VERSION.log + 1)).toThrow(
    expect.objectContaining({ code: 'LODESTORE_UNSUPPORTED_FORMAT' }),
  );
});

test('pieces form a group when the last has arrived, and another entry voids them', () => {
  const half = { ...BATCHES, payloadBytes: 20 };
  const first = encodeEntry(TAKEOVER);
  const sumOf = (entry: Uint8Array): number => Buffer.from(entry).readUInt32LE(80);
  const one = encodeEntry({ ...half, previous: sumOf(first), piece: ROW.subarray(0, 8) });
  const rest = { ...half, pieceOffset: 8, piece: ROW.subarray(8) };
  const two = encodeEntry({ ...rest, previous: sumOf(one) });
  const chain = new LogChain(LOG_START);
  chain.take(1n, first);
  expect(chain.take(2n, one).kind).toBe('piece');
  expect(chain.groupEnd.position).toBe(1n);
  const step = chain.take(3n, two);
  expect(step.kind === 'group' && hex(step.group.payload)).toBe(hex(ROW));

  const mixed = new LogChain(LOG_START);
  mixed.take(1n, first);
  mixed.take(2n, one);
  const ofOtherVersion = encodeEntry({ ...rest, rowsVersion: 3, previous: sumOf(one) });
  expect(() => mixed.take(3n, ofOtherVersion)).toThrow('disagree');

  const other = new LogChain(LOG_START);
  other.take(1n, first);
  other.take(2n, one);
  const barrier = encodeEntry({ ...TAKEOVER, kind: 'barrier', previous: sumOf(one) });
  expect(other.take(3n, barrier).kind).toBe('barrier');
  const late = encodeEntry({ ...rest, previous: sumOf(barrier) });
  expect(() => other.take(4n, late)).toThrow('without its beginning');
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';
import { joinPieces, scanPiece } from '../../src/log/log-piece.ts';
import type { LogPiece, LogPosition, LogScan } from '../../src/log/log-report.ts';
import { scanLog } from '../../src/log/log-scan.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';
import { logOf, STORE_ID, type LogPlan } from '../support/small-directory.ts';

interface Reading {
  readonly scan: LogScan;
  readonly rows: string;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

async function readWhole(bytes: Uint8Array): Promise<Reading> {
  const files = readOnlyFiles(new Map([['log', bytes]]));
  const rows: string[] = [];
  const scan = await scanLog(files, '/log', {
    number: 1,
    storeId: STORE_ID,
    onGroup: (group) => rows.push(hex(group.rows)),
  });
  return { scan, rows: rows.join('') };
}

async function pieceOf(
  bytes: Uint8Array,
  from: number,
  to: number,
): Promise<{ readonly piece: LogPiece | undefined; readonly rows: string }> {
  const rows: string[] = [];
  const files = readOnlyFiles(new Map([['log', bytes]]));
  const piece = await scanPiece(
    files,
    '/log',
    { from, to },
    {
      number: 1,
      storeId: undefined,
      onGroup: (group) => rows.push(hex(group.rows)),
    },
  );
  return { piece, rows: rows.join('') };
}

/** Reads the pieces between the cuts, then the rest. */
async function readInPieces(bytes: Uint8Array, cuts: readonly number[]): Promise<Reading> {
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  const found = [];
  for (let i = 0; i + 1 < places.length; i++) {
    found.push(await pieceOf(bytes, places[i]!, places[i + 1]!));
  }
  const rows: string[] = [];
  const scan = await scanLog(readOnlyFiles(new Map([['log', bytes]])), '/log', {
    number: 1,
    storeId: STORE_ID,
    pieces: found.map(({ piece }) => piece),
    onGroup: (group) => rows.push(hex(group.rows)),
  });
  const before = found.slice(0, scan.pieces).map((one) => one.rows);
  return { scan, rows: [...before, ...rows].join('') };
}

const someRow = fc.record({
  key: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  value: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  data: fc.uint8Array({ maxLength: 80 }),
});

const somePlan: fc.Arbitrary<LogPlan> = fc.record({
  number: fc.constant(1),
  groups: fc.array(fc.array(fc.array(someRow, { maxLength: 3 }), { minLength: 1, maxLength: 2 }), {
    minLength: 1,
    maxLength: 8,
  }),
  seal: fc.constantFrom('none' as const, 'alone' as const, 'piggybacked' as const),
  zerosBehind: fc.constantFrom(0, 1, 60, 500),
});

/** A place in a log, from 0 to 1. */
const somePlace = fc.double({ min: 0, max: 1, noNaN: true });

const someDamage = fc.oneof(
  fc.constant((bytes: Uint8Array) => bytes),
  somePlace.map((place) => (bytes: Uint8Array) => bytes.slice(0, place * bytes.length)),
  fc
    .tuple(somePlace, fc.integer({ min: 1, max: 255 }))
    .map(([place, flip]) => (bytes: Uint8Array) => {
      const copy = bytes.slice();
      const at = Math.min(Math.floor(place * bytes.length), bytes.length - 1);
      copy[at] = copy[at]! ^ flip;
      return copy;
    }),
  fc.tuple(somePlace, fc.nat(300)).map(([place, length]) => (bytes: Uint8Array) => {
    const from = Math.floor(place * bytes.length);
    return bytes.slice().fill(0, from, from + length);
  }),
);

test('a log is read in pieces as it is read whole, sound or not', async () => {
  await fc.assert(
    fc.asyncProperty(
      somePlan,
      someDamage,
      fc.array(somePlace, { maxLength: 6 }),
      async (plan, damage, places) => {
        const bytes = damage((await logOf(plan)).bytes);
        const cuts = places.map((place) => Math.floor(place * bytes.length));
        const whole = await readWhole(bytes);
        const pieces = await readInPieces(bytes, cuts);
        expect({ ...pieces.scan, pieces: 0 }).toEqual(whole.scan);
        expect(pieces.rows).toBe(whole.rows);
      },
    ),
    { numRuns: 400 },
  );
});

const GROUPS: LogPlan['groups'] = [1n, 2n, 3n, 4n].map((key) => [[{ key, value: key }]]);

test('pieces of a sound log are not read again', async () => {
  const { bytes, offsets } = await logOf({ number: 1, groups: GROUPS, zerosBehind: 90 });
  const { scan } = await readInPieces(bytes, [offsets[1]! + 1, offsets[2]! + 1]);
  expect(scan).toMatchObject({ pieces: 3, frameCount: 4, ending: { kind: 'end' } });
});

describe('a piece is accepted only where it continues the preceding one', () => {
  const moved: Record<string, (piece: LogPiece) => LogPiece> = {
    'the place': ({ from, ...rest }) => ({ ...rest, from: { ...from, offset: from.offset + 1 } }),
    'the chain': ({ from, ...rest }) => ({ ...rest, from: { ...from, chain: from.chain ^ 1 } }),
    'the sequence': ({ from, ...rest }) => ({
      ...rest,
      from: { ...from, lastSequence: from.lastSequence + 1n },
    }),
    'what is proven': (piece) => ({ ...piece, provenEnd: 0 }),
  };

  async function twoPieces(): Promise<[LogPosition, LogPiece, LogPiece]> {
    const { bytes, offsets } = await logOf({ number: 1, groups: GROUPS });
    const middle = present(offsets[2], 'there are four groups');
    const first = present((await pieceOf(bytes, 0, middle)).piece, 'a piece');
    const second = present((await pieceOf(bytes, middle, bytes.length)).piece, 'a piece');
    return [first.from, first, second];
  }

  test('sound pieces are joined, also across one without a group', async () => {
    const [start, first, second] = await twoPieces();
    const joined = joinPieces(start, [first, undefined, second]);
    expect(joined).toMatchObject({ pieces: 3, position: { frameCount: 4, recordCount: 4 } });
    expect(joined.position.lastSequence).toBe(4n);
  });

  for (const [what, change] of Object.entries(moved)) {
    test(`${what} is refused`, async () => {
      const [start, first, second] = await twoPieces();
      expect(joinPieces(start, [first, change(second)])).toEqual({
        pieces: 1,
        position: first.to,
      });
    });
  }
});

import { expect, test } from 'vitest';
import {
  CompactionChoice,
  type CompactionChoiceOptions,
} from '../../examples/storage-node/src/upkeep/compaction-choice.ts';
import {
  HEADER_BYTES,
  type VolumeKind,
} from '../../examples/storage-node/src/volumes/volume-header.ts';
import { Volume } from '../../examples/storage-node/src/volumes/volume.ts';

const BYTES = 1_000_000;
const NONE: ReadonlySet<Volume> = new Set();

function volumeOf(number: number, kind: VolumeKind, markBytes: number): Volume {
  return new Volume({
    number,
    kind,
    bucketId: 0,
    createdMs: 0,
    state: 'sealed',
    liveBytes: BYTES - markBytes,
    endBytes: HEADER_BYTES + BYTES,
    newestMs: 0,
    markBytes,
  });
}

/** A choice among these volumes. `walks` counts how often it went through all of them. */
function choiceOf(volumes: readonly Volume[], roomBytes = 2 ** 40) {
  const counts = { walks: 0 };
  const all = {
    [Symbol.iterator]: () => {
      counts.walks++;
      return volumes.values();
    },
  };
  const options = {
    parts: { volumes: all, writers: { isWritten: () => false } },
    space: { roomBytes, reserveBytes: 2 ** 20, isScarce: roomBytes < 2 ** 20 },
    deadRatio: 0.5,
  };
  return { counts, choice: new CompactionChoice(options as unknown as CompactionChoiceOptions) };
}

test('marks are dead in the oldest volume with objects, and only there', () => {
  const [index, oldest, later] = [
    volumeOf(1, 'index', 0),
    volumeOf(2, 'data', 900_000),
    volumeOf(3, 'data', 900_000),
  ];
  expect(choiceOf([later, index, oldest]).choice.next(NONE)).toBe(oldest);
  expect(choiceOf([later, index]).choice.next(NONE)).toBe(later);
  expect(choiceOf([later, index, volumeOf(2, 'data', 0)]).choice.next(NONE)).toBeUndefined();
});

test('the choice of a volume goes through all volumes a few times, however many there are', () => {
  const volumes = Array.from({ length: 500 }, (_, i) => volumeOf(i + 1, 'data', 0));
  const { counts, choice } = choiceOf(volumes);
  expect(choice.next(NONE)).toBeUndefined();
  expect(counts.walks).toBeLessThan(5);
});

test('on a full disk, volumes with short copies are chosen: they may use the reserve', () => {
  const MIB = 2 ** 20;
  const dead = (neededBytes: number): Volume =>
    new Volume({
      number: neededBytes,
      kind: 'data',
      bucketId: 0,
      createdMs: 0,
      state: 'sealed',
      liveBytes: neededBytes / 2,
      markBytes: neededBytes / 2,
      endBytes: HEADER_BYTES + 8 * MIB,
      newestMs: 0,
    });
  const [short, long] = [dead(4_096), dead(2 * MIB)];
  // The room that copies leave for all else is 4 MiB.
  expect(choiceOf([long, short], 5 * MIB).choice.next(NONE)).toBe(short);
  expect(choiceOf([long, short], MIB / 2).choice.next(NONE)).toBe(short);
  expect(choiceOf([long, short], 4_096).choice.next(NONE)).toBeUndefined();
  expect(choiceOf([long], 5 * MIB).choice.next(NONE)).toBeUndefined();
  expect(choiceOf([long], 7 * MIB).choice.next(NONE)).toBe(long);
});

import { expect, test } from 'vitest';
import type { OpenFile } from '../../src/fs/file-system.ts';
import { FileWindow, readFully } from '../../src/fs/file-window.ts';
import { openedFile } from '../support/read-only-files.ts';

const BYTES = Uint8Array.from({ length: 2_500_000 }, (_, i) => (i * 7) >>> 3);

/** Reads at most 1,000 bytes per call after the first call. */
function slow(bytes: Uint8Array): OpenFile {
  const file = openedFile(bytes);
  return { ...file, read: (target, position) => file.read(target.subarray(0, 100_000), position) };
}

test('reads any range, forwards and backwards, across the window', async () => {
  const window = new FileWindow(slow(BYTES), BYTES.length);
  const places = [0, 10, 1_048_570, 1_048_576, 2_400_000, 5, 2_499_990, 0];
  for (const position of places) {
    for (const lengthBytes of [0, 1, 48, 2000, 1_200_000]) {
      const found = Buffer.from(await window.at(position, lengthBytes));
      expect(found.equals(BYTES.subarray(position, position + lengthBytes))).toBe(true);
    }
  }
});

test('reads nothing at or after the end', async () => {
  const window = new FileWindow(openedFile(BYTES), BYTES.length);
  expect(await window.at(BYTES.length, 10)).toHaveLength(0);
  expect(await window.some(BYTES.length)).toHaveLength(0);
  expect(await window.at(BYTES.length - 3, 10)).toHaveLength(3);
});

test('reads at least one byte from anywhere, up to all of them', async () => {
  const window = new FileWindow(openedFile(BYTES), BYTES.length);
  let position = 0;
  for (let some = await window.some(0); some.length > 0; some = await window.some(position)) {
    expect(Buffer.from(some).equals(BYTES.subarray(position, position + some.length))).toBe(true);
    position += some.length;
  }
  expect(position).toBe(BYTES.length);
});

test('reads what remains of a file that became shorter', async () => {
  const window = new FileWindow(openedFile(BYTES.subarray(0, 100)), 1000);
  expect(await window.at(90, 48)).toHaveLength(10);
  expect(await window.some(200)).toHaveLength(0);
});

test('continues after short reads until everything is read or the file ends', async () => {
  const target = new Uint8Array(2_500_100);
  expect(await readFully(slow(BYTES), target, 0)).toBe(BYTES.length);
});

test.each(['async', 'blocking'])(
  'a read that failed leaves nothing of itself in the window: %s',
  async (way) => {
    const file = openedFile(BYTES);
    let failsAt = Infinity;
    const readSync = (target: Uint8Array, position: number): number => {
      if (position >= failsAt) throw new Error('the disk failed');
      // In parts, as a system may: the first part of a read succeeds, the second fails.
      const part = BYTES.subarray(position, position + Math.min(target.length, 100_000));
      target.set(part);
      return part.length;
    };
    const failing: OpenFile = {
      ...file,
      read: (target, position) => Promise.resolve().then(() => readSync(target, position)),
      ...(way === 'blocking' ? { readSync } : {}),
    };
    const window = new FileWindow(failing, BYTES.length, way === 'blocking');
    const before = BYTES.slice(0, 1_000);
    expect(await window.at(0, 1_000)).toEqual(before);
    failsAt = 1_200_000;
    await expect(window.at(1_100_000, 1_000_000)).rejects.toThrow('the disk failed');
    expect(await window.at(0, 1_000)).toEqual(before);
  },
);

test('a window with blocking reads returns the same bytes', async () => {
  const file = openedFile(BYTES);
  let reads = 0;
  const blocking: OpenFile = {
    ...file,
    read: () => Promise.reject(new Error('the thread was to wait')),
    readSync: (target, position) => {
      reads++;
      // In parts, as a system may.
      const part = BYTES.subarray(position, position + Math.min(target.length, 300_000));
      target.set(part);
      return part.length;
    },
  };
  const window = new FileWindow(blocking, BYTES.length, true);
  for (const position of [0, 1_048_500, 2_400_000]) {
    const found = Buffer.from(await window.at(position, 100));
    expect(found.equals(BYTES.subarray(position, position + 100))).toBe(true);
  }
  expect(reads).toBeGreaterThan(4);
  expect(await new FileWindow(file, BYTES.length, true).at(7, 5)).toEqual(BYTES.subarray(7, 12));
});

test('a window with a reused buffer shows its own file', async () => {
  const first = new FileWindow(openedFile(BYTES), BYTES.length);
  await first.at(1_000, 10);
  first.release();
  const other = BYTES.map((byte) => byte ^ 0xff);
  const second = new FileWindow(openedFile(other), other.length);
  const found = Buffer.from(await second.at(1_000, 1_000));
  expect(found.equals(other.subarray(1_000, 2_000))).toBe(true);
  // A released window reads again.
  const again = Buffer.from(await first.at(1_000, 1_000));
  expect(again.equals(BYTES.subarray(1_000, 2_000))).toBe(true);
  expect(found.equals(other.subarray(1_000, 2_000))).toBe(true);
});

import { describe, expect, it } from 'vitest';

import { equalBytes } from '../../src/base/bytes.ts';
import { MAX_DELTA_BYTES } from '../../src/base/limits.ts';
import { blockOf, RowArena, viewOffset } from '../../src/table/delta/arena.ts';

const MIB = 2 ** 20;

describe('RowArena', () => {
  it('shows every byte of a region through the view of its block', () => {
    const arena = new RowArena();
    arena.reserve(MIB - 100);
    const region = arena.reserve(3 * MIB + 5);
    region.bytes.fill(7);
    expect(region.bytes.length).toBe(3 * MIB + 5);
    for (const at of [0, MIB - 1, MIB, 2 * MIB + 1, 3 * MIB]) {
      const position = region.position + at;
      const view = arena.views[blockOf(position)];
      const toEnd = region.bytes.length - at;
      expect(view?.getUint8(viewOffset(position))).toBe(7);
      expect(view?.getUint8(viewOffset(position) + toEnd - 1)).toBe(7);
      expect(equalBytes(arena.copy(position, toEnd), new Uint8Array(toEnd).fill(7))).toBe(true);
    }
  });

  it('places small regions one after another, and continues after a large one', () => {
    const arena = new RowArena();
    expect(arena.reserve(100).position).toBe(0);
    expect(arena.reserve(MIB - 100).position).toBe(100);
    expect(arena.reserve(MIB + 1).position).toBe(MIB);
    expect(arena.reserve(10).position).toBe(2 * MIB + 1);
    expect(arena.memoryBytes).toBe(3 * MIB);
  });

  it('takes back the last region, or its rest, and no other', () => {
    const arena = new RowArena();
    const first = arena.reserve(100);
    const second = arena.reserve(100);
    arena.release(first, 0);
    expect(arena.usedBytes).toBe(200);
    arena.release(second, 30);
    expect(arena.usedBytes).toBe(130);
    expect(arena.reserve(10).position).toBe(130);
  });

  it('is bounded', () => {
    const arena = new RowArena();
    expect(arena.hasRoomFor(MAX_DELTA_BYTES)).toBe(true);
    expect(arena.hasRoomFor(MAX_DELTA_BYTES + 1)).toBe(false);
    arena.reserve(MIB - 1);
    expect(arena.hasRoomFor(MAX_DELTA_BYTES - MIB)).toBe(true);
    expect(arena.hasRoomFor(MAX_DELTA_BYTES - MIB + 1)).toBe(false);
    expect(() => arena.reserve(MAX_DELTA_BYTES)).toThrow(/bounded/);
  });
});

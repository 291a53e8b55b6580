import { describe, expect, test } from 'vitest';
import { elapsedMs, makeLeaseClock } from '../../src/fs/lease-clock.ts';

function sources() {
  const at = { monotonicMs: 5_000, uptimeMs: 90_000, wallMs: 1_000_000, reads: 0 };
  const clock = makeLeaseClock({
    monotonicMs: () => at.monotonicMs,
    uptimeMs: () => {
      at.reads++;
      return at.uptimeMs;
    },
    wallMs: () => at.wallMs,
  });
  const pass = (awakeMs: number, asleepMs = 0) => {
    at.monotonicMs += awakeMs;
    at.uptimeMs += awakeMs + asleepMs;
    at.wallMs += awakeMs + asleepMs;
  };
  return { at, clock, pass };
}

describe('the clock of a lease', () => {
  test('counts the time awake and reads the uptime about once a second', () => {
    const { at, clock, pass } = sources();
    const start = clock();
    for (let i = 0; i < 100; i++) {
      pass(20);
      clock();
    }
    expect(elapsedMs(start, clock())).toBe(2_000);
    expect(at.reads).toBeLessThanOrEqual(3);
  });

  test('counts the time asleep at the next call, however recently the uptime was read', () => {
    const { clock, pass } = sources();
    const start = clock();
    pass(1);
    clock();
    pass(1, 60_000);
    expect(elapsedMs(start, clock())).toBe(60_002);
  });

  test.each([3_600_000, -3_600_000])('does not follow a wall clock set by %i ms', (leapMs) => {
    const { at, clock, pass } = sources();
    const start = clock();
    at.wallMs += leapMs;
    pass(10);
    expect(elapsedMs(start, clock())).toBe(10);
    pass(10);
    expect(elapsedMs(start, clock())).toBe(20);
  });

  test('finds a sleep that the wall clock hides at the next reading', () => {
    const { at, clock, pass } = sources();
    const start = clock();
    pass(1, 60_000);
    at.wallMs -= 60_000;
    pass(1_000);
    expect(elapsedMs(start, clock())).toBe(61_001);
  });
});

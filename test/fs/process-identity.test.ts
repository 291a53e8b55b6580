import { hostname } from 'node:os';
import { describe, expect, test } from 'vitest';
import { hashMachineId, readProcessIdentity, startTicksOf } from '../../src/fs/process-identity.ts';

describe('process identity', () => {
  test('is the same at every reading', async () => {
    const identity = await readProcessIdentity();
    expect(identity).toMatchObject({ pid: process.pid, hostName: hostname() });
    expect(await readProcessIdentity()).toEqual(identity);
  });

  test.runIf(process.platform === 'linux')('knows process start and boot on Linux', async () => {
    const identity = await readProcessIdentity();
    expect(identity.processStartTicks).toBeGreaterThan(0);
    expect(identity.bootId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('finds the start time after a name with blanks and parentheses', () => {
    const numbers = Array.from({ length: 49 }, (_, index) => index + 4).join(' ');
    expect(startTicksOf(`77 (a) R 1 (b c) S ${numbers}`)).toBe(22);
    expect(startTicksOf('')).toBeUndefined();
    expect(startTicksOf('77 (cut off) S 4 5')).toBeUndefined();
  });

  test('hashes machine ids and ignores those that many machines may have', () => {
    const id = '0123456789abcdef0123456789abcdef';
    expect(hashMachineId(id)).toMatch(/^[0-9a-f]{32}$/);
    expect(hashMachineId(id)).not.toBe(id);
    expect(hashMachineId('')).toBeUndefined();
    expect(hashMachineId('uninitialized')).toBeUndefined();
  });
});

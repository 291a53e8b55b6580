import { describe, expect, it } from 'vitest';
import { CALL_KINDS, CrashFs, countCalls, formatTrace } from '../../src/testing/index.ts';
import type { CallKind } from '../../src/testing/index.ts';
import { outcomes, run, tree } from './machine.ts';

/** One call of each kind. */
const CALLS: Record<CallKind, (fs: CrashFs) => Promise<unknown>> = {
  open: (fs) => fs.open('/f', 'r'),
  read: async (fs) => (await fs.open('/f', 'r')).read(new Uint8Array(1), 0),
  write: async (fs) => (await fs.open('/f', 'r+')).write(run('B', 1), 0),
  writeSync: async (fs) => (await fs.open('/f', 'rs+')).write(run('B', 1), 0),
  truncate: async (fs) => (await fs.open('/f', 'r+')).truncate(0),
  trim: async (fs) => (await fs.open('/f', 'r+')).trim(0, 1),
  dataSync: async (fs) => (await fs.open('/f', 'r')).dataSync(),
  close: async (fs) => (await fs.open('/f', 'r')).close(),
  readDirectory: (fs) => fs.readDirectory('/'),
  stat: (fs) => fs.stat('/f'),
  rename: (fs) => fs.rename('/f', '/g'),
  unlink: (fs) => fs.unlink('/f'),
  link: (fs) => fs.link('/f', '/g'),
  makeDirectory: (fs) => fs.makeDirectory('/d'),
  removeDirectory: async (fs) => {
    await fs.makeDirectory('/d');
    await fs.removeDirectory('/d');
  },
  syncDirectory: (fs) => fs.syncDirectory('/'),
  freeBytes: (fs) => fs.freeBytes('/'),
  tryLock: (fs) => fs.tryLock('/lock'),
  takeLease: (fs) => fs.takeLease('/lock', { staleMs: 1, onLost: () => {} }),
  renewLease: async (fs) => (await fs.takeLease('/lock', { staleMs: 1, onLost: () => {} })).renew(),
  breakLease: (fs) => fs.breakLease('/lock'),
  holdDirectory: (fs) => fs.holdDirectory('/'),
};

describe('the n-th call', () => {
  it('fails once, or from then on', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 1) });
    fs.faults.add({ call: 'stat', nth: 2, error: 'EIO' });
    await fs.stat('/f');
    await expect(fs.stat('/f')).rejects.toMatchObject({ code: 'EIO', syscall: 'stat', path: '/f' });
    await fs.stat('/f');
    fs.faults.add({ call: 'open', nth: 2, error: 'EMFILE', mode: 'sticky' });
    await fs.open('/f', 'r');
    await expect(fs.open('/f', 'r')).rejects.toMatchObject({ code: 'EMFILE' });
    await expect(fs.open('/f', 'r')).rejects.toMatchObject({ code: 'EMFILE' });
    fs.faults.clear();
    await fs.open('/f', 'r');
  });

  it('counts only calls on the given path', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 1), '/log_1': run('A', 1) });
    fs.faults.add({ call: 'stat', path: '/f' }).add({ call: 'stat', path: /log/ });
    await fs.stat('/');
    await expect(fs.stat('/log_1')).rejects.toMatchObject({ code: 'EIO' });
    await expect(fs.stat('/f')).rejects.toMatchObject({ code: 'EIO' });
  });

  it.each(CALL_KINDS)('%s can fail', async (kind) => {
    const fs = CrashFs.withFiles({ '/f': run('A', 1) });
    fs.faults.add({ call: kind, error: 'EACCES' });
    await expect(CALLS[kind](fs)).rejects.toMatchObject({ code: 'EACCES' });
    // The write was done before its sync failed.
    expect(tree(fs)).toBe(kind === 'writeSync' ? '/f=B1' : '/f=A1');
  });
});

describe('a failing write (F2)', () => {
  it('applies as many bytes as the rule says, by default none', async () => {
    const fs = CrashFs.withFiles({ '/f': run('O', 4) });
    const file = await fs.open('/f', 'r+');
    fs.faults.add({ call: 'write' }).add({ call: 'write', nth: 2, appliedBytes: 3 });
    await expect(file.write(run('A', 4), 0)).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe('/f=O4');
    await expect(file.write(run('B', 4), 0)).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe('/f=B3 O1');
    expect(outcomes(fs)).toEqual(['/f=B3 O1', '/f=O4']);
  });

  it('never applies all of its bytes', async () => {
    const fs = CrashFs.withFiles({ '/f': run('O', 4) });
    const file = await fs.open('/f', 'r+');
    fs.faults.add({ call: 'write', appliedBytes: 9 });
    await expect(file.write(run('A', 4), 0)).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe('/f=A3 O1');
  });

  it('is short first, then fails', async () => {
    const fs = CrashFs.withFiles({ '/f': run('O', 4) });
    const file = await fs.open('/f', 'r+');
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'short', appliedBytes: 1 });
    expect(await file.write(run('A', 4), 0)).toBe(1);
    await expect(file.write(run('A', 3), 1)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(tree(fs)).toBe('/f=A1 O3');
    expect(await file.write(run('A', 3), 1)).toBe(3);
  });

  it('fails at once if it has one byte', async () => {
    const fs = CrashFs.withFiles({ '/f': run('O', 4) });
    const file = await fs.open('/f', 'r+');
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'short' });
    await expect(file.write(run('A', 1), 0)).rejects.toMatchObject({ code: 'ENOSPC' });
  });
});

describe('a failing change of names (F2)', () => {
  it.each([
    ['rename', false, '/f=A1'],
    ['rename', true, '/g=A1'],
    ['unlink', false, '/f=A1'],
    ['unlink', true, ''],
    ['open', false, '/f=A1'],
    ['open', true, '/f=A1;/new='],
  ] as const)('%s has its effect: %s', async (call, takesEffect, expected) => {
    const fs = CrashFs.withFiles({ '/f': run('A', 1) });
    fs.faults.add({ call, takesEffect });
    const calls = {
      rename: () => fs.rename('/f', '/g'),
      unlink: () => fs.unlink('/f'),
      open: () => fs.open('/new', 'wx'),
    };
    await expect(calls[call]()).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe(expected);
  });

  it('may still create a directory', async () => {
    const fs = new CrashFs();
    fs.faults.add({ call: 'makeDirectory', takesEffect: true });
    await expect(fs.makeDirectory('/d')).rejects.toMatchObject({ code: 'EIO' });
    expect(await fs.stat('/d')).toMatchObject({ kind: 'directory' });
  });
});

describe('the trace', () => {
  it('has every call, its ticks and its outcome', async () => {
    const fs = new CrashFs();
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 4), 0);
    fs.faults.add({ call: 'rename', error: 'EIO' });
    await expect(fs.rename('/f', '/g')).rejects.toThrow('EIO');
    await expect(fs.stat('/none')).rejects.toThrow('ENOENT');
    void file.dataSync();
    expect(formatTrace(fs.trace).split('\n')).toEqual([
      '1-2 open /f wx: ok',
      '3-4 write /f @0 +4: ok',
      '5-6 rename /f to /g: EIO',
      '7-8 stat /none: ENOENT',
      '9-… dataSync /f: pending',
    ]);
    expect(countCalls(fs.trace)).toEqual(
      new Map([
        ['open', 1],
        ['write', 1],
        ['rename', 1],
        ['stat', 1],
        ['dataSync', 1],
      ]),
    );
  });

  it('is empty if disabled', async () => {
    const fs = new CrashFs({ trace: false });
    await fs.stat('/');
    expect(fs.trace).toEqual([]);
    const after = fs.minimalCrash();
    await after.stat('/');
    expect(after.trace).toEqual([]);
  });
});

import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { CrashFs } from '../../src/testing/index.ts';
import { outcomes, run, runs, tree } from './machine.ts';

describe('calls', () => {
  it('read, write and list visible files', async () => {
    const fs = new CrashFs();
    await fs.makeDirectory('/d');
    const file = await fs.open('/d/f', 'wx');
    expect(await file.write(run('A', 5), 3)).toBe(5);
    const target = new Uint8Array(10);
    expect(await file.read(target, 0)).toBe(8);
    expect(runs(target)).toBe('.3 A5 .2');
    expect(await file.read(target, 8)).toBe(0);
    expect(await file.stat()).toEqual({ kind: 'file', sizeBytes: 8 });
    expect(await fs.stat('/d')).toEqual({ kind: 'directory', sizeBytes: 0 });
    expect(await fs.readDirectory('/d')).toEqual([{ name: 'f', kind: 'file' }]);
    expect(await fs.readDirectory('/')).toEqual([{ name: 'd', kind: 'directory' }]);
    expect(await fs.stat('/d/../d/./f')).toEqual({ kind: 'file', sizeBytes: 8 });
  });

  it('keep the bytes that were passed, whatever happens to the buffer', async () => {
    const fs = new CrashFs();
    const file = await fs.open('/f', 'wx');
    const buffer = run('A', 4);
    await file.write(buffer, 0);
    buffer.fill(0);
    await file.dataSync();
    expect(tree(fs)).toBe('/f=A4');
    await fs.syncDirectory('/');
    expect(tree(fs.minimalCrash())).toBe('/f=A4');
  });

  it('tell whether the path of an open file still leads to a file', async () => {
    const fs = new CrashFs();
    await fs.makeDirectory('/d');
    const { access } = await fs.holdDirectory('/d');
    const file = await fs.open(`${access}/f`, 'wx');
    await fs.rename('/d', '/e');
    expect(file.statSync()).toEqual({ sizeBytes: 0, linkCount: 1, isNamed: true });
    const same = fs.blocking.open('/e/f', 'r');
    await fs.rename(`${access}/f`, '/e/g');
    for (const open of [file, same]) {
      expect(open.statSync()).toEqual({ sizeBytes: 0, linkCount: 1, isNamed: false });
    }
    await fs.unlink('/e/g');
    expect(file.statSync()).toEqual({ sizeBytes: 0, linkCount: 0, isNamed: false });
  });

  it('keep an open file after its name is removed', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 4) });
    const file = await fs.open('/f', 'r');
    await fs.unlink('/f');
    await fs.syncDirectory('/');
    const target = new Uint8Array(4);
    expect(await file.read(target, 0)).toBe(4);
    expect(await fs.readDirectory('/')).toEqual([]);
  });

  it.each([
    ['open r', 'ENOENT', (fs: CrashFs) => fs.open('/none', 'r')],
    ['open r+', 'ENOENT', (fs: CrashFs) => fs.open('/none', 'r+')],
    ['open in nothing', 'ENOENT', (fs: CrashFs) => fs.open('/none/f', 'wx')],
    ['open in a file', 'ENOTDIR', (fs: CrashFs) => fs.open('/f/g', 'wx')],
    ['open wx', 'EEXIST', (fs: CrashFs) => fs.open('/f', 'wx')],
    ['open a directory', 'EISDIR', (fs: CrashFs) => fs.open('/d', 'r')],
    ['list a file', 'ENOTDIR', (fs: CrashFs) => fs.readDirectory('/f')],
    ['stat', 'ENOENT', (fs: CrashFs) => fs.stat('/none')],
    ['unlink', 'ENOENT', (fs: CrashFs) => fs.unlink('/none')],
    ['unlink a directory', 'EISDIR', (fs: CrashFs) => fs.unlink('/d')],
    ['rename', 'ENOENT', (fs: CrashFs) => fs.rename('/none', '/g')],
    ['rename across directories', 'EXDEV', (fs: CrashFs) => fs.rename('/f', '/d/f')],
    ['rename over a directory', 'EISDIR', (fs: CrashFs) => fs.rename('/f', '/d')],
    ['make twice', 'EEXIST', (fs: CrashFs) => fs.makeDirectory('/d')],
    ['make two levels', 'ENOENT', (fs: CrashFs) => fs.makeDirectory('/e/e')],
    ['sync nothing', 'ENOENT', (fs: CrashFs) => fs.syncDirectory('/none')],
  ] as const)('%s rejects with %s', async (_what, code, call) => {
    const fs = CrashFs.withFiles({ '/f': run('A', 1), '/d/inside': run('A', 1) });
    await expect(call(fs)).rejects.toMatchObject({ code, errno: -constants.errno[code] });
    expect(tree(fs)).toBe('/d/inside=A1;/f=A1');
  });

  it('reject with EBADF on a closed or read-only handle', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 1) });
    const file = await fs.open('/f', 'r');
    await expect(file.write(run('B', 1), 0)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.truncate(0)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.read(new Uint8Array(1), -1)).rejects.toMatchObject({ code: 'EINVAL' });
    await file.close();
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.close()).rejects.toMatchObject({ code: 'EBADF' });
    expect(tree(fs)).toBe('/f=A1');
  });
});

describe('a full disk', () => {
  it('writes short first and then fails; names can still change and free space', async () => {
    const fs = CrashFs.withFiles({ '/old': run('O', 50) }, { capacityBytes: 120 });
    const file = await fs.open('/f', 'wx');
    expect(await fs.freeBytes('/')).toBe(70);
    expect(await file.write(run('A', 100), 0)).toBe(70);
    await expect(file.write(run('A', 30), 70)).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(file.truncate(80)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await file.write(run('B', 70), 0)).toBe(70);
    await fs.rename('/f', '/g');
    await fs.unlink('/old');
    expect(await fs.freeBytes('/')).toBe(50);
    expect(await file.write(run('A', 30), 70)).toBe(30);
    expect(tree(fs)).toBe('/g=B70 A30');
  });

  it('gets space from a replaced file', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 50), '/g': run('B', 10) }, { capacityBytes: 60 });
    await fs.rename('/g', '/f');
    expect(await fs.freeBytes('/')).toBe(50);
  });

  it('gets no space from a removed file while it is open', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 50) }, { capacityBytes: 50 });
    const file = await fs.open('/f', 'r');
    await fs.unlink('/f');
    await fs.syncDirectory('/');
    expect(await fs.freeBytes('/')).toBe(0);
    await file.close();
    expect(await fs.freeBytes('/')).toBe(50);
  });

  it('has the same size after a crash', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 50) }, { capacityBytes: 60 });
    expect(await fs.minimalCrash().freeBytes('/')).toBe(10);
    expect(await fs.kill().freeBytes('/')).toBe(10);
  });
});

describe('an aborted file system (F3)', () => {
  it('reads, and fails every changing call with EROFS', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 4) });
    const file = await fs.open('/f', 'r+');
    fs.abort();
    const changes = [
      () => file.write(run('B', 1), 0),
      () => file.truncate(0),
      () => file.dataSync(),
      () => fs.open('/f', 'r+'),
      () => fs.open('/g', 'wx'),
      () => fs.rename('/f', '/g'),
      () => fs.unlink('/f'),
      () => fs.makeDirectory('/d'),
      () => fs.syncDirectory('/'),
      () => fs.tryLock('/lock'),
    ];
    for (const change of changes) await expect(change()).rejects.toMatchObject({ code: 'EROFS' });
    expect(await file.read(new Uint8Array(4), 0)).toBe(4);
    expect(tree(fs)).toBe('/f=A4');
  });
});

describe('a powered-off machine', () => {
  it('fails all calls, in flight or new, without effect', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 4) });
    const file = await fs.open('/f', 'r+');
    await file.write(run('B', 4), 0);
    const sync = file.dataSync();
    fs.powerOff();
    await expect(sync).rejects.toMatchObject({ code: 'EIO' });
    await expect(file.write(run('C', 4), 0)).rejects.toMatchObject({ code: 'EIO' });
    await expect(fs.unlink('/f')).rejects.toMatchObject({ code: 'EIO' });
    const failed: unknown = expect.objectContaining({ code: 'EIO' });
    expect(() => file.statSync()).toThrow(failed);
    expect(() => file.readSync!(new Uint8Array(4), 0)).toThrow(failed);
    expect(outcomes(fs)).toEqual(['/f=A4', '/f=B4']);
  });
});

describe('crash points', () => {
  it('precede the effect of each successful sync', async () => {
    const seen: string[] = [];
    const fs = new CrashFs({
      onCrashPoint: ({ fs: at, path, number }) => {
        seen.push(`${number} ${path} ${tree(at.minimalCrash())}`);
      },
    });
    const file = await fs.open('/f', 'wx');
    await fs.syncDirectory('/');
    await file.write(run('A', 2), 0);
    fs.faults.add({ call: 'dataSync' });
    await expect(file.dataSync()).rejects.toMatchObject({ code: 'EIO' });
    await file.write(run('B', 2), 0);
    await file.dataSync();
    const durable = await fs.open('/f', 'rs+');
    await durable.write(run('C', 1), 0);
    expect(seen).toEqual(['1 / ', '2 /f /f=', '3 /f /f=B2']);
    expect(fs.crashPointCount).toBe(3);
  });
});

describe('locks', () => {
  it('are exclusive, create their file, and end with their holder', async () => {
    const fs = new CrashFs();
    const lock = await fs.tryLock('/lock');
    expect(await fs.tryLock('/lock')).toBeUndefined();
    await lock?.writeRecord(run('l', 20));
    await lock?.writeRecord(run('R', 3));
    expect(tree(fs)).toBe('/lock=R3 l17');
    await lock?.release();
    await lock?.release();
    expect(await fs.tryLock('/lock')).toBeDefined();
    expect(await fs.tryLock('/lock')).toBeUndefined();
    expect(await fs.kill().tryLock('/lock')).toBeDefined();
    expect(await fs.crash([]).tryLock('/lock')).toBeDefined();
    expect(await fs.tryLock('/lock')).toBeUndefined();
  });
});

describe('leases', () => {
  const options = { staleMs: 10, onLost: (): void => {} };

  it('refuse while fresh, outlive a dead holder, and can be broken', async () => {
    const fs = new CrashFs();
    const lease = await fs.takeLease('/lease', options);
    expect(lease.isFresh()).toBe(true);
    await expect(fs.takeLease('/lease', options)).rejects.toMatchObject({ code: 'ELOCKED' });
    for (const after of [fs.kill(), fs.minimalCrash()]) {
      await expect(after.takeLease('/lease', options)).rejects.toMatchObject({ code: 'ELOCKED' });
      await after.breakLease('/lease');
      expect((await after.takeLease('/lease', options)).isFresh()).toBe(true);
    }
    expect(lease.isFresh()).toBe(true);
    await lease.release();
    await lease.release();
    expect((await fs.takeLease('/lease', options)).isFresh()).toBe(true);
  });

  it('become stale when the test says so, and lost when another host takes them', async () => {
    const fs = new CrashFs();
    const losses: Error[] = [];
    const first = await fs.takeLease('/lease', options);
    fs.leases.expire('/lease');
    expect(first.isFresh()).toBe(false);
    const second = await fs.takeLease('/lease', {
      staleMs: 10,
      onLost: (cause) => losses.push(cause),
    });
    await first.release();
    expect(second.isFresh()).toBe(true);
    fs.leases.takeElsewhere('/lease');
    fs.leases.takeElsewhere('/lease');
    expect(losses).toHaveLength(1);
    expect(second.isFresh()).toBe(false);
    await second.release();
    await expect(fs.takeLease('/lease', options)).rejects.toMatchObject({ code: 'ELOCKED' });
  });

  it('are renewed when stale while nobody else has them', async () => {
    const fs = new CrashFs();
    let overdue = 0;
    const onOverdue = (): void => void overdue++;
    const lease = await fs.takeLease('/lease', { ...options, onOverdue });
    fs.leases.expire('/lease');
    fs.leases.wake('/lease');
    expect(overdue).toBe(1);
    await lease.renew();
    expect(lease.isFresh()).toBe(true);
    fs.leases.expire('/lease');
    fs.leases.break('/lease');
    await expect(lease.renew()).rejects.toMatchObject({ code: 'ENOENT' });
    fs.leases.takeElsewhere('/lease');
    await expect(lease.renew()).rejects.toMatchObject({ code: 'ELOCKED' });
    expect(lease.isFresh()).toBe(false);
  });

  it('dated in the future are given to an opener that watches them', async () => {
    const fs = new CrashFs();
    await fs.takeLease('/lease', options);
    fs.leases.dateAhead('/lease');
    await expect(fs.takeLease('/lease', options)).rejects.toMatchObject({ code: 'ELOCKED' });
    const watched: number[] = [];
    const watch = { onProgress: (watchedMs: number) => void watched.push(watchedMs) };
    const lease = await fs.takeLease('/lease', { ...options, watch });
    expect(lease.isFresh()).toBe(true);
    expect(watched).toEqual([options.staleMs]);
  });
});

describe('damage at rest', () => {
  it('changes visible and durable bytes, never the size', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 4) });
    fs.damage('/f', 3, run('X', 9));
    expect(tree(fs)).toBe('/f=A3 X1');
    expect(tree(fs.minimalCrash())).toBe('/f=A3 X1');
  });
});

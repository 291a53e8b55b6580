import { describe, expect, it } from 'vitest';
import type { OpenFile } from '../../src/fs/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import type { CrashModel } from '../../src/testing/index.ts';
import { ManualScheduler, finish, outcomes, run, tree } from './machine.ts';

const MODELS: readonly CrashModel[] = ['posix', 'ordered', 'linked'];

/** A machine where `/f` has `content`, all of it durable. */
function holding(content: Uint8Array, model: CrashModel = 'posix'): CrashFs {
  return CrashFs.withFiles({ '/f': content }, { model });
}

/** `/f` has AAAA, durable, and then BBBB, whose sync failed. */
async function withFailedSync(model: CrashModel, revert = false): Promise<CrashFs> {
  const fs = holding(run('A', 4), model);
  const file = await fs.open('/f', 'r+');
  await file.write(run('B', 4), 4);
  fs.faults.add({ call: 'dataSync', error: 'EIO', revert });
  await expect(file.dataSync()).rejects.toMatchObject({ code: 'EIO' });
  return fs;
}

describe('a new file that was written and not synced (W1, N1)', () => {
  it('posix: name, size and data are kept independently; lost data are zeros or junk', async () => {
    const fs = new CrashFs();
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 4), 0);
    expect(outcomes(fs)).toEqual(['', '/f=', '/f=.4', '/f=A4', '/f=a4', '/f=~4']);
  });

  it('ordered: the size follows the data', async () => {
    const fs = new CrashFs({ model: 'ordered' });
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 4), 0);
    expect(outcomes(fs)).toEqual(['', '/f=', '/f=A4']);
  });

  it('linked: lost data read as zeros', async () => {
    const fs = new CrashFs({ model: 'linked' });
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 4), 0);
    expect(outcomes(fs)).toEqual(['', '/f=', '/f=.4', '/f=A4']);
  });
});

describe('a synced file in a directory that was not synced (S1, S2)', () => {
  it.each([
    ['posix', ['', '/f=A4']],
    ['ordered', ['/f=A4']],
    ['linked', ['/f=A4']],
  ] as const)('%s', async (model, expected) => {
    const fs = new CrashFs({ model });
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 4), 0);
    await file.dataSync();
    expect(outcomes(fs)).toEqual(expected);
  });

  it('a sync with metadata makes names durable; ordered: all earlier ones, linked: its own', async () => {
    const left: Record<string, string[]> = {};
    for (const model of MODELS) {
      const fs = new CrashFs({ model });
      const other = await fs.open('/other', 'wx');
      await other.close();
      const file = await fs.open('/f', 'wx');
      await file.dataSync();
      left[model] = outcomes(fs);
    }
    expect(left).toEqual({
      posix: ['', '/f=', '/f=;/other=', '/other='],
      ordered: ['/f=;/other='],
      linked: ['/f=', '/f=;/other='],
    });
  });

  it('ordered and linked: the sync of an overwrite has no metadata and makes no name durable', async () => {
    for (const model of ['ordered', 'linked'] as const) {
      const fs = holding(run('A', 8), model);
      await fs.open('/other', 'wx');
      const file = await fs.open('/f', 'r+');
      await file.write(run('B', 8), 0);
      await file.dataSync();
      expect(outcomes(fs)).toEqual(['/f=B8', '/f=B8;/other=']);
    }
  });

  it('ordered: the sync of a file that grew or was truncated makes names durable', async () => {
    for (const change of ['grow', 'cut'] as const) {
      const fs = holding(run('A', 8), 'ordered');
      await fs.open('/other', 'wx');
      const file = await fs.open('/f', 'r+');
      if (change === 'grow') await file.write(run('B', 1), 8);
      else await file.truncate(7);
      await file.dataSync();
      expect(outcomes(fs)).toEqual([change === 'grow' ? '/f=A8 B1;/other=' : '/f=A7;/other=']);
    }
  });

  it('linked: names of missing parents become durable, too; those of their siblings do not', async () => {
    const fs = new CrashFs({ model: 'linked' });
    await fs.makeDirectory('/d');
    await fs.makeDirectory('/d/e');
    await fs.open('/d/neighbour', 'wx');
    const file = await fs.open('/d/e/f', 'wx');
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/d/e/f=', '/d/e/f=;/d/neighbour=']);
  });

  it('linked: earlier effects on the same name become durable, too', async () => {
    const fs = holding(run('O', 1), 'linked');
    await fs.rename('/f', '/g');
    const file = await fs.open('/f', 'wx');
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/f=;/g=O1']);
  });
});

describe('names', () => {
  it('posix: any subset; ordered: any prefix; linked: any subset that keeps the order of each name', async () => {
    const left: Record<string, string[]> = {};
    for (const model of MODELS) {
      const fs = CrashFs.withFiles({ '/old': run('O', 1), '/tmp': run('N', 1) }, { model });
      await fs.rename('/tmp', '/new');
      await fs.unlink('/old');
      left[model] = outcomes(fs);
    }
    const removalFirst = '/tmp=N1';
    expect(left).toEqual({
      posix: ['/new=N1', '/new=N1;/old=O1', '/old=O1;/tmp=N1', removalFirst],
      ordered: ['/new=N1', '/new=N1;/old=O1', '/old=O1;/tmp=N1'],
      linked: ['/new=N1', '/new=N1;/old=O1', '/old=O1;/tmp=N1', removalFirst],
    });
  });

  it('linked: a rename is not kept without the creation of its source', async () => {
    const fs = new CrashFs({ model: 'linked' });
    await fs.open('/tmp', 'wx');
    await fs.rename('/tmp', '/new');
    await fs.open('/other', 'wx');
    expect(outcomes(fs)).toEqual([
      '',
      '/new=',
      '/new=;/other=',
      '/other=',
      '/other=;/tmp=',
      '/tmp=',
    ]);
  });

  it('a rename replaces its target whole or not at all (N2)', async () => {
    const fs = CrashFs.withFiles({ '/s': run('O', 3), '/t': run('N', 3) });
    await fs.rename('/t', '/s');
    expect(outcomes(fs)).toEqual(['/s=N3', '/s=O3;/t=N3']);
  });

  it('a rename before the sync of its data may show an empty or torn target', async () => {
    const fs = holding(run('O', 3));
    const file = await fs.open('/t', 'wx');
    await file.write(run('N', 600), 0);
    await fs.rename('/t', '/f');
    const left = outcomes(fs);
    expect(left).toContain('/f=');
    expect(left).toContain('/f=N512 .88');
    expect(left).toContain('/f=.600');
    expect(left).toContain('/f=~512 N88');
    expect(left).toContain('/f=O3;/t=N600');
    expect(left).toContain('/f=N600');
  });

  it('a directory sync makes its own names durable and no others (S3)', async () => {
    const fs = new CrashFs();
    await fs.makeDirectory('/d');
    await fs.syncDirectory('/');
    await fs.open('/d/f', 'wx');
    await fs.open('/g', 'wx');
    await fs.syncDirectory('/d');
    expect(outcomes(fs)).toEqual(['/d/f=', '/d/f=;/g=']);
  });

  it('ordered: a directory sync includes all earlier names if it has names to sync (S2)', async () => {
    const fs = CrashFs.withFiles({ '/d/old': run('O', 1) }, { model: 'ordered' });
    await fs.open('/f', 'wx');
    await fs.syncDirectory('/d');
    expect(outcomes(fs)).toEqual(['/d/old=O1', '/d/old=O1;/f=']);
    await fs.unlink('/d/old');
    await fs.syncDirectory('/d');
    expect(outcomes(fs)).toEqual(['/f=']);
  });

  it('linked: a directory sync includes the name of the directory (S2)', async () => {
    const fs = new CrashFs({ model: 'linked' });
    await fs.open('/f', 'wx');
    await fs.makeDirectory('/d');
    await fs.open('/d/g', 'wx');
    await fs.syncDirectory('/d');
    expect(outcomes(fs)).toEqual(['/d/g=', '/d/g=;/f=']);
  });

  it('a durable name stays for any outcome of an earlier change that overlapped its sync', async () => {
    const scheduler = new ManualScheduler();
    const fs = CrashFs.withFiles({ '/f': run('O', 1) }, { scheduler });
    const removal = fs.unlink('/f');
    await finish(scheduler, 'open', fs.open('/f', 'wx'));
    await finish(scheduler, 'syncDirectory', fs.syncDirectory('/'));
    await finish(scheduler, 'unlink', removal);
    expect(outcomes(fs)).toEqual(['/f=']);
  });

  it('a directory that loses its own name loses its files (N4)', async () => {
    const fs = new CrashFs();
    await fs.makeDirectory('/d');
    const file = await fs.open('/d/f', 'wx');
    await file.dataSync();
    await fs.syncDirectory('/d');
    expect(outcomes(fs)).toContain('');
    await fs.syncDirectory('/');
    expect(outcomes(fs)).toEqual(['/d/f=']);
  });

  it('an unsynced removal may be undone, a synced one is not (N3)', async () => {
    const fs = holding(run('A', 2));
    await fs.unlink('/f');
    expect(outcomes(fs)).toEqual(['', '/f=A2']);
    await fs.syncDirectory('/');
    expect(outcomes(fs)).toEqual(['']);
  });
});

describe('data', () => {
  it.each(MODELS)('%s: an overwrite tears between sectors, never inside one', async (model) => {
    const fs = holding(run('O', 1024), model);
    const file = await fs.open('/f', 'r+');
    await file.write(run('N', 1024), 0);
    expect(outcomes(fs)).toEqual(['/f=N1024', '/f=N512 O512', '/f=O1024', '/f=O512 N512']);
  });

  it('a write tears at every byte if requested', async () => {
    const fs = holding(run('O', 4));
    const file = await fs.open('/f', 'r+');
    await file.write(run('N', 4), 0);
    const left = outcomes(fs, { tear: 'byte' });
    expect(left).toEqual(expect.arrayContaining(['/f=N1 O3', '/f=N2 O2', '/f=N3 O1']));
  });

  it('any of several writes may be lost, also an earlier one without a later one', async () => {
    const fs = holding(run('O', 1536));
    const file = await fs.open('/f', 'r+');
    await file.write(run('A', 512), 0);
    await file.write(run('B', 512), 512);
    await file.write(run('C', 512), 1024);
    const left = outcomes(fs);
    expect(left).toContain('/f=O512 B512 C512');
    expect(left).toContain('/f=A512 O512 C512');
    expect(left).toContain('/f=A512 O1024');
  });

  it('ordered: appends survive as prefixes at page edges; posix: with gaps', async () => {
    const left: Record<string, string[]> = {};
    for (const model of ['ordered', 'posix'] as const) {
      const fs = holding(run('O', 4096), model);
      const file = await fs.open('/f', 'r+');
      await file.write(run('A', 4096), 4096);
      await file.write(run('B', 8192), 8192);
      left[model] = outcomes(fs);
    }
    const prefixes = ['/f=O4096', '/f=O4096 A4096', '/f=O4096 A4096 B4096', '/f=O4096 A4096 B8192'];
    expect(left['ordered']).toEqual(prefixes);
    expect(left['posix']).toEqual(expect.arrayContaining([...prefixes, '/f=O4096 .4096 B8192']));
  });

  it('a truncation is kept or lost as a whole, and later writes after it follow zeros (W2)', async () => {
    const fs = holding(run('O', 4));
    const file = await fs.open('/f', 'r+');
    await file.truncate(1);
    expect(outcomes(fs)).toEqual(['/f=O1', '/f=O4']);
    await file.truncate(3);
    expect(tree(fs)).toBe('/f=O1 .2');
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/f=O1 .2']);
  });

  it('a sync covers effects that ended before it started, not overlapping ones (S1)', async () => {
    const scheduler = new ManualScheduler();
    const fs = CrashFs.withFiles({ '/f': run('O', 1024) }, { scheduler });
    const file = await finish(scheduler, 'open', fs.open('/f', 'r+'));
    await finish(scheduler, 'write', file.write(run('A', 512), 0));
    const overlapping = file.write(run('B', 512), 512);
    const sync = file.dataSync();
    await scheduler.end('write');
    await scheduler.end('dataSync');
    await Promise.all([overlapping, sync]);
    expect(outcomes(fs)).toEqual(['/f=A512 B512', '/f=A512 O512']);
  });

  it('a directory sync does not cover a name created during it (S3)', async () => {
    const scheduler = new ManualScheduler();
    const fs = new CrashFs({ scheduler });
    const creation = fs.open('/f', 'wx');
    const sync = fs.syncDirectory('/');
    await scheduler.end('open');
    await scheduler.end('syncDirectory');
    await Promise.all([creation, sync]);
    expect(outcomes(fs)).toEqual(['', '/f=']);
  });

  it('a durable write over a pending one hides any outcome of the earlier one', async () => {
    const fs = holding(run('O', 512));
    const pending = await fs.open('/f', 'r+');
    await pending.write(run('P', 512), 0);
    const durable = await fs.open('/f', 'rs+');
    await durable.write(run('D', 512), 0);
    expect(outcomes(fs)).toEqual(['/f=D512']);
    // No choice is left, so such writes do not accumulate.
    expect(fs.crashStates().counts.raw).toBe(1);
  });
});

describe('a write on an rs+ handle', () => {
  it('is durable when it resolves, and nothing else of the file is', async () => {
    const fs = holding(run('O', 1024));
    const plain = await fs.open('/f', 'r+');
    await plain.write(run('P', 512), 0);
    const durable = await fs.open('/f', 'rs+');
    await durable.write(run('D', 512), 512);
    expect(outcomes(fs)).toEqual(['/f=O512 D512', '/f=P512 D512']);
  });

  it('makes the size durable that its bytes need', async () => {
    const fs = holding(run('O', 2));
    const file = await fs.open('/f', 'rs+');
    await file.write(run('D', 2), 4);
    expect(outcomes(fs)).toEqual(['/f=O2 .2 D2']);
  });

  it('ordered: makes names durable only if it made the file grow', async () => {
    for (const position of [0, 4]) {
      const fs = holding(run('O', 4), 'ordered');
      await fs.open('/other', 'wx');
      const file = await fs.open('/f', 'rs+');
      await file.write(run('D', 1), position);
      expect(outcomes(fs)).toHaveLength(position === 4 ? 1 : 2);
    }
  });

  it('may be cut at any byte while it is in flight', async () => {
    const seen: string[] = [];
    const fs = CrashFs.withFiles(
      { '/f': run('O', 8) },
      { onCrashPoint: (point) => seen.push(...outcomes(point.fs)) },
    );
    const file = await fs.open('/f', 'rs+');
    await file.write(run('D', 8), 0);
    expect(seen).toEqual(expect.arrayContaining(['/f=O8', '/f=D1 O7', '/f=D7 O1', '/f=D8']));
    expect(outcomes(fs)).toEqual(['/f=D8']);
  });
});

describe('a failed sync (F1)', () => {
  it.each(MODELS)('%s: the next one succeeds and leaves A | zeros | C', async (model) => {
    const fs = await withFailedSync(model);
    const file = await fs.open('/f', 'r+');
    await file.write(run('C', 4), 8);
    await file.dataSync();
    expect(tree(fs)).toBe('/f=A4 B4 C4');
    const left = outcomes(fs);
    expect(left).toContain('/f=A4 .4 C4');
    expect(left).toContain('/f=A4 B4 C4');
    expect(left.every((one) => one.endsWith('C4'))).toBe(true);
  });

  it('is not repaired by a later sync of the dropped bytes', async () => {
    const fs = await withFailedSync('ordered');
    const file = await fs.open('/f', 'r+');
    await file.dataSync();
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/f=A4', '/f=A4 .4', '/f=A4 B4']);
  });

  it('keeps the bytes for readers, or drops them with revert', async () => {
    expect(tree(await withFailedSync('posix'))).toBe('/f=A4 B4');
    expect(tree(await withFailedSync('posix', true))).toBe('/f=A4');
  });

  it('of an rs+ write dooms its bytes', async () => {
    const fs = holding(run('A', 4));
    fs.faults.add({ call: 'writeSync' });
    const file = await fs.open('/f', 'rs+');
    await expect(file.write(run('B', 4), 0)).rejects.toMatchObject({ code: 'EIO' });
    await file.dataSync();
    expect(tree(fs)).toBe('/f=B4');
    expect(outcomes(fs)).toEqual(['/f=A4', '/f=B4']);
  });

  it('of a directory leaves its names pending, and the next one makes them durable', async () => {
    const fs = new CrashFs();
    await fs.open('/f', 'wx');
    fs.faults.add({ call: 'syncDirectory' });
    await expect(fs.syncDirectory('/')).rejects.toMatchObject({ code: 'EIO' });
    expect(outcomes(fs)).toEqual(['', '/f=']);
    await fs.syncDirectory('/');
    expect(outcomes(fs)).toEqual(['/f=']);
  });
});

describe('a killed process (L1)', () => {
  it('leaves everything visible and as volatile as before', async () => {
    const fs = new CrashFs();
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 4), 0);
    const after = fs.kill();
    expect(tree(after)).toBe('/f=A4');
    expect(outcomes(after)).toEqual(outcomes(fs));
  });

  it('lets a later sync cover calls that were in flight', async () => {
    const scheduler = new ManualScheduler();
    const fs = CrashFs.withFiles({ '/f': run('O', 4) }, { scheduler });
    const file = await finish(scheduler, 'open', fs.open('/f', 'r+'));
    void file.write(run('A', 4), 0);
    const after = fs.kill();
    const again = await after.open('/f', 'r');
    await again.dataSync();
    expect(outcomes(after)).toEqual(['/f=A4']);
  });
});

describe('the machine before and after', () => {
  it('a crash state opens with everything in it durable', async () => {
    const fs = new CrashFs();
    const file = await fs.open('/f', 'wx');
    await file.write(run('A', 600), 0);
    for (const state of fs.crashStates()) {
      const after = fs.materialise(state);
      expect(outcomes(after)).toEqual([tree(after)]);
      expect(after.hash()).toBe(state.hash);
    }
  });

  it('machines do not affect each other', async () => {
    const fs = CrashFs.withFiles({ '/f': run('O', 4), '/g': run('G', 1) });
    const clean = await fs.open('/g', 'rs+');
    const file = await fs.open('/f', 'r+');
    await file.write(run('N', 4), 0);
    const frozen = fs.crashStates();
    const before = [...frozen].map((state) => tree(fs.materialise(state)));
    const killed = fs.kill();
    const other = fs.minimalCrash();
    const second = await other.open('/f', 'r+');
    await second.write(run('X', 2), 0);
    await file.dataSync();
    await file.truncate(0);
    await clean.write(run('H', 1), 0);
    expect([...frozen].map((state) => tree(fs.materialise(state)))).toEqual(before);
    expect(tree(killed)).toBe('/f=N4;/g=G1');
    expect(outcomes(killed)).toEqual(['/f=N4;/g=G1', '/f=O4;/g=G1']);
    expect(tree(other)).toBe('/f=X2 O2;/g=G1');
  });

  it('an empty list of choices keeps everything; the minimal crash keeps nothing pending', async () => {
    const fs = holding(run('O', 4));
    const file = await fs.open('/f', 'r+');
    await file.write(run('N', 4), 0);
    await fs.open('/g', 'wx');
    expect(tree(fs.crash([]))).toBe('/f=N4;/g=');
    expect(tree(fs.crash([0, 0, 0, 0]))).toBe('/f=N4;/g=');
    expect(tree(fs.crash([1]))).toBe('/f=N4');
    expect(tree(fs.crash([1, 4]))).toBe('/f=O4');
    expect(tree(fs.minimalCrash())).toBe('/f=O4');
    expect(tree(fs.randomCrash(7))).toBe(tree(fs.randomCrash(7)));
  });
});

describe('a second name of a file (N1)', () => {
  it.each([
    ['posix', ['/f=A4', '/f=A4;/g=A4', '/g=A4', '']],
    ['ordered', ['/f=A4', '/f=A4;/g=A4', '/g=A4']],
    ['linked', ['/f=A4', '/f=A4;/g=A4', '/g=A4', '']],
  ] as const)('%s: is volatile until its directory is synced', async (model, expected) => {
    const fs = holding(run('A', 4), model);
    await fs.link('/f', '/g');
    await fs.unlink('/f');
    expect(tree(fs)).toBe('/g=A4');
    expect(outcomes(fs)).toEqual([...expected].toSorted());
    await fs.syncDirectory('/');
    expect(outcomes(fs)).toEqual(['/g=A4']);
  });

  it('both names lead to the same bytes, before a crash and after', async () => {
    const fs = holding(run('A', 4));
    await fs.makeDirectory('/d');
    await fs.link('/f', '/d/g');
    await fs.syncDirectory('/d');
    await fs.syncDirectory('/');
    const file = await fs.open('/d/g', 'r+');
    await file.write(run('B', 4), 0);
    expect(tree(fs)).toBe('/d/g=B4;/f=B4');
    expect(outcomes(fs)).toEqual(['/d/g=A4;/f=A4', '/d/g=B4;/f=B4']);
    await file.dataSync();
    const after = fs.minimalCrash();
    await (await after.open('/f', 'r+')).write(run('C', 4), 0);
    expect(tree(after)).toBe('/d/g=C4;/f=C4');
  });

  it('takes no space, and frees space with the last name', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 4) }, { capacityBytes: 10 });
    await fs.link('/f', '/g');
    expect(await fs.freeBytes('/')).toBe(6);
    await fs.unlink('/f');
    expect(await fs.minimalCrash().freeBytes('/')).toBe(6);
    expect(await fs.freeBytes('/')).toBe(6);
    await fs.unlink('/g');
    expect(await fs.freeBytes('/')).toBe(10);
  });

  it('is refused for an existing name or a directory', async () => {
    const fs = holding(run('A', 4));
    await fs.makeDirectory('/d');
    await expect(fs.link('/f', '/f')).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(fs.link('/absent', '/g')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(fs.link('/d', '/g')).rejects.toMatchObject({ code: 'EISDIR' });
  });
});

describe('removing a directory (N4)', () => {
  it('only an empty one is removed, permanently after a sync of its parent', async () => {
    const fs = CrashFs.withFiles({ '/d/f': run('A', 4) });
    await expect(fs.removeDirectory('/d')).rejects.toMatchObject({ code: 'ENOTEMPTY' });
    await expect(fs.removeDirectory('/d/f')).rejects.toMatchObject({ code: 'ENOTDIR' });
    await fs.unlink('/d/f');
    await fs.removeDirectory('/d');
    await expect(fs.stat('/d')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(outcomes(fs)).toContain('/d/f=A4');
    await fs.syncDirectory('/');
    expect(outcomes(fs)).toEqual(['']);
  });
});

describe('a write of several parts (W1)', () => {
  it('is one write: it tears at sectors of the whole, not at its parts', async () => {
    const fs = holding(run('O', 1024));
    const file = await fs.open('/f', 'r+');
    expect(await file.writev([run('A', 100), run('B', 924)], 0)).toBe(1024);
    expect(outcomes(fs)).toEqual(
      ['/f=O1024', '/f=A100 B412 O512', '/f=O512 B512', '/f=A100 B924'].toSorted(),
    );
    await file.sync();
    expect(outcomes(fs)).toEqual(['/f=A100 B924']);
  });
});

describe('space reserved ahead (W1: zeros that are written)', () => {
  it('posix: size and zeros are kept independently; others: the size follows the zeros', async () => {
    const left: Record<string, string[]> = {};
    for (const model of MODELS) {
      const fs = holding(run('A', 4), model);
      const file = await fs.open('/f', 'r+');
      await file.preallocate(8);
      left[model] = outcomes(fs);
      await file.dataSync();
      expect(outcomes(fs)).toEqual(['/f=A4 .4']);
    }
    expect(left).toEqual({
      posix: ['/f=A4', '/f=A4 .4', '/f=A4 a4', '/f=A4 ~4'],
      ordered: ['/f=A4', '/f=A4 .4'],
      linked: ['/f=A4', '/f=A4 .4'],
    });
  });

  it('leaves a file that is already as long', async () => {
    const fs = holding(run('A', 4));
    const file = await fs.open('/f', 'r+');
    await file.preallocate(4);
    await file.preallocate(0);
    expect(outcomes(fs)).toEqual(['/f=A4']);
  });

  it('fails without space, and the file keeps its length', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 4) }, { capacityBytes: 10 });
    const file = await fs.open('/f', 'r+');
    await expect(file.preallocate(11)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(tree(fs)).toBe('/f=A4');
    expect(await fs.freeBytes('/')).toBe(6);
    // Not durably: a crash may show what existed for a moment.
    expect(outcomes(fs)).toContain('/f=A4 .6');
    fs.faults.add({ call: 'write', error: 'EIO', appliedBytes: 3 });
    await expect(file.preallocate(10)).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe('/f=A4');
    await file.preallocate(10);
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/f=A4 .6']);
  });
});

describe('a trim (W3)', () => {
  it.each(MODELS)(
    '%s: each sector has either content until a sync, and the size stays',
    async (model) => {
      const fs = holding(run('A', 2048), model);
      const file = await fs.open('/f', 'r+');
      await file.trim(512, 1024);
      expect(tree(fs)).toBe('/f=A512 .1024 A512');
      expect(outcomes(fs)).toEqual(
        ['/f=A2048', '/f=A512 .512 A1024', '/f=A1024 .512 A512', '/f=A512 .1024 A512'].toSorted(),
      );
      await file.dataSync();
      expect(outcomes(fs)).toEqual(['/f=A512 .1024 A512']);
    },
  );

  it('ends at the end of the file', async () => {
    const fs = holding(run('A', 4));
    const file = await fs.open('/f', 'r+');
    await file.trim(2, 100);
    await file.trim(4, 100);
    await file.trim(0, 0);
    expect(outcomes(fs)).toEqual(['/f=A2 .2', '/f=A4']);
  });

  it('is not made durable by a durable write, and a later write over it can survive without it', async () => {
    const fs = holding(run('A', 8));
    const file = await fs.open('/f', 'rs+');
    await file.trim(0, 8);
    await file.write(run('B', 4), 0);
    expect(outcomes(fs)).toEqual(['/f=B4 .4', '/f=B4 A4']);
  });

  it('is not made durable by a sync after a failed one', async () => {
    const fs = holding(run('A', 8));
    const file = await fs.open('/f', 'r+');
    await file.trim(0, 4);
    fs.faults.add({ call: 'dataSync' });
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    await file.sync();
    expect(outcomes(fs)).toEqual(['/f=.4 A4', '/f=A8']);
  });

  it('makes no names durable, because it has no metadata', async () => {
    const fs = holding(run('A', 8), 'ordered');
    await fs.open('/other', 'wx');
    const file = await fs.open('/f', 'r+');
    await file.trim(0, 8);
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/f=.8', '/f=.8;/other=']);
  });

  it('frees whole blocks of 4 KiB, which a write takes again or gets ENOSPC', async () => {
    const BLOCK = 4096;
    const fs = CrashFs.withFiles({ '/f': run('A', 4 * BLOCK) }, { capacityBytes: 4 * BLOCK });
    const file = await fs.open('/f', 'r+');
    await file.trim(1, 2 * BLOCK);
    expect(await fs.freeBytes('/')).toBe(BLOCK);
    await file.dataSync();
    expect(await fs.minimalCrash().freeBytes('/')).toBe(BLOCK);
    expect(await fs.kill().freeBytes('/')).toBe(BLOCK);
    const other = await fs.open('/g', 'wx');
    await other.write(run('G', BLOCK - 1), 0);
    // The block before the hole exists; the hole would need one, and 1 byte is free.
    expect(await file.write(run('B', BLOCK), 10)).toBe(BLOCK - 10);
    await expect(file.write(run('B', 10), BLOCK)).rejects.toMatchObject({ code: 'ENOSPC' });
    await fs.unlink('/g');
    await other.close();
    expect(await file.write(run('B', 10), BLOCK)).toBe(10);
    expect(await fs.freeBytes('/')).toBe(0);
  });

  it('that a crash loses keeps its blocks', async () => {
    const fs = CrashFs.withFiles({ '/f': run('A', 8192) }, { capacityBytes: 8192 });
    const file = await fs.open('/f', 'r+');
    await file.trim(0, 8192);
    expect(await fs.minimalCrash().freeBytes('/')).toBe(0);
    expect(await fs.crash([]).freeBytes('/')).toBe(8192);
  });

  it('can fail by a fault rule, with and without its effect', async () => {
    const fs = holding(run('A', 4));
    const file = await fs.open('/f', 'r+');
    fs.faults.add({ call: 'trim', error: 'EIO' });
    await expect(file.trim(0, 4)).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe('/f=A4');
    fs.faults.add({ call: 'trim', takesEffect: true });
    await expect(file.trim(0, 4)).rejects.toMatchObject({ code: 'EIO' });
    expect(tree(fs)).toBe('/f=.4');
    await expect((await fs.open('/f', 'r')).trim(0, 1)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.trim(-1, 1)).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe('what trims and writes of several parts share with other calls', () => {
  const CALLS: readonly [string, (file: OpenFile) => Promise<unknown>, string][] = [
    ['writev', (file) => file.writev([run('B', 3), run('C', 5)], 0), '/f=B3 C5'],
    ['preallocate', (file) => file.preallocate(12), '/f=A8 .4'],
    ['trim', (file) => file.trim(0, 4), '/f=.4 A4'],
  ];

  it.each(CALLS)(
    '%s: a kill keeps it, and an aborted machine refuses it (L1, F3)',
    async (...one) => {
      const [, call, after] = one;
      const fs = holding(run('A', 8));
      await call(await fs.open('/f', 'r+'));
      expect(tree(fs.kill())).toBe(after);
      expect(tree(fs.minimalCrash())).toBe('/f=A8');
      const aborted = holding(run('A', 8));
      const file = await aborted.open('/f', 'r+');
      aborted.abort();
      await expect(call(file)).rejects.toMatchObject({ code: 'EROFS' });
      expect(tree(aborted)).toBe('/f=A8');
    },
  );

  it.each(CALLS)('%s: tears at every byte where that is asked for', async (name, call, after) => {
    const fs = holding(run('A', 8));
    await call(await fs.open('/f', 'r+'));
    const left = outcomes(fs, { tear: 'byte' });
    expect(left).toEqual(expect.arrayContaining(['/f=A8', after]));
    const torn = { writev: '/f=B1 A7', preallocate: '/f=A8 .1', trim: '/f=.1 A7' }[name];
    expect(left).toContain(torn);
  });

  it('writev: part of it is written where the disk ends, and the rest meets ENOSPC (F2)', async () => {
    const fs = holding(run('A', 8));
    const file = await fs.open('/f', 'r+');
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'short', appliedBytes: 4 });
    expect(await file.writev([run('B', 3), run('C', 5)], 0)).toBe(4);
    await expect(file.writev([run('C', 4)], 4)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(tree(fs)).toBe('/f=B3 C1 A4');
  });

  it('writev and preallocate: after a failed sync no later one makes them durable (F1)', async () => {
    const fs = holding(run('A', 4));
    const file = await fs.open('/f', 'r+');
    await file.writev([run('B', 2), run('C', 2)], 0);
    await file.preallocate(8);
    fs.faults.add({ call: 'dataSync' });
    await expect(file.dataSync()).rejects.toMatchObject({ code: 'EIO' });
    await file.dataSync();
    expect(outcomes(fs)).toEqual(expect.arrayContaining(['/f=A4', '/f=B2 C2 .4']));
  });

  it('preallocate, ordered: a file that grew makes earlier names durable (S2)', async () => {
    const fs = holding(run('A', 8), 'ordered');
    await fs.open('/other', 'wx');
    const file = await fs.open('/f', 'r+');
    await file.preallocate(9);
    await file.dataSync();
    expect(outcomes(fs)).toEqual(['/f=A8 .1;/other=']);
  });
});

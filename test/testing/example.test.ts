import { describe, expect, it } from 'vitest';
import { CrashFs, countCalls } from '../../src/testing/index.ts';
import { run, runs } from './machine.ts';

/** The example of docs/TESTING.md; `without` omits one step. */
async function replace(fs: CrashFs, content: Uint8Array, without?: string): Promise<void> {
  const file = await fs.open('/f.tmp', 'wx');
  await file.write(content, 0);
  if (without !== 'dataSync') await file.dataSync();
  await file.close();
  await fs.rename('/f.tmp', '/f');
  if (without !== 'syncDirectory') await fs.syncDirectory('/');
}

/** The content of the name. */
function contentOf(fs: CrashFs): string {
  const bytes = fs.files().get('/f');
  return bytes === undefined ? 'nothing' : runs(bytes);
}

/** Descriptions of the states that have neither an allowed content nor, at the end, the new one. */
async function findLosses(without?: string): Promise<string[]> {
  const losses: string[] = [];
  const check = (fs: CrashFs, allowed: readonly string[]): void => {
    for (const state of fs.crashStates()) {
      const found = contentOf(fs.materialise(state));
      if (!allowed.includes(found)) losses.push(state.describe());
    }
  };
  const fs = CrashFs.withFiles(
    { '/f': run('O', 1000) },
    {
      onCrashPoint: (point) => {
        check(point.fs, ['O1000', 'N2000']);
      },
    },
  );
  await replace(fs, run('N', 2000), without);
  check(fs, ['N2000']);
  return losses;
}

describe('replacing a file by a rename', () => {
  it('loses nothing', async () => {
    expect(await findLosses()).toEqual([]);
  });

  it('shows an empty file if the data were not synced', async () => {
    expect(await findLosses('dataSync')).toContain(
      'kept create f.tmp, kept rename f.tmp to f; /f: nothing',
    );
  });

  it('shows the old file again if the directory was not synced', async () => {
    expect(await findLosses('syncDirectory')).toContain(
      'lost create f.tmp, lost rename f.tmp to f',
    );
  });

  it('leaves the old or the new content whichever call fails', async () => {
    const clean = CrashFs.withFiles({ '/f': run('O', 1000) });
    await replace(clean, run('N', 2000));
    const contents: string[] = [];
    for (const [call, count] of countCalls(clean.trace)) {
      for (let nth = 1; nth <= count; nth++) {
        const fs = CrashFs.withFiles({ '/f': run('O', 1000) });
        fs.faults.add({ call, nth });
        await replace(fs, run('N', 2000)).catch(() => {});
        contents.push(contentOf(fs.minimalCrash()));
      }
    }
    expect(contents).toHaveLength(6);
    expect(contents.every((content) => ['O1000', 'N2000'].includes(content))).toBe(true);
  });
});

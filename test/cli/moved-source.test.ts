import { mkdirSync, renameSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportRecords } from '../../src/cli/export.ts';
import { explain } from '../../src/cli/explain.ts';
import { inspect } from '../../src/cli/inspect.ts';
import type { CommandContext } from '../../src/cli/output/command-context.ts';
import { salvage } from '../../src/cli/salvage.ts';
import { stats } from '../../src/cli/stats.ts';
import { tail } from '../../src/cli/tail.ts';
import { verify } from '../../src/cli/verify.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore } from '../../src/index.ts';
import { runOn, type CliResult } from '../support/cli.ts';
import { put } from '../support/feed.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A closed store, and a file system that renames and replaces `moved` once `name` was opened. */
async function filled(name: RegExp): Promise<{ base: string; fs: FileSystem; moved: string[] }> {
  const base = await temporaryDirectory();
  const store = await MetadataStore.open(join(base, 'store'));
  await store.insertBatch(put(1, 10));
  await store.merge();
  await store.insertBatch(put(2, 20));
  await store.close();
  const moved = [join(base, 'store')];
  const fs = Object.create(nodeFileSystem) as FileSystem & { open: FileSystem['open'] };
  fs.open = async (path, mode) => {
    const file = await nodeFileSystem.open(path, mode);
    if (name.test(path)) {
      for (const one of moved.splice(0)) {
        renameSync(one, `${one}-moved`);
        mkdirSync(one);
      }
    }
    return file;
  };
  return { base, fs, moved };
}

const COMMANDS: Record<string, (context: CommandContext, base: string) => Promise<number>> = {
  inspect: (context, base) => inspect(context, join(base, 'store'), {}),
  verify: (context, base) => verify(context, join(base, 'store'), {}),
  stats: (context, base) => stats(context, join(base, 'store'), {}),
  explain: (context, base) => explain(context, join(base, 'store'), {}),
  tail: (context, base) => tail(context, join(base, 'store'), {}),
  export: (context, base) => exportRecords(context, join(base, 'store'), { format: 'jsonl' }),
  salvage: (context, base) => salvage(context, join(base, 'store'), join(base, 'target'), {}),
};

/** Paths of descriptors exist on Linux. */
const isLinux = process.platform === 'linux';

test.runIf(isLinux).each(Object.keys(COMMANDS))(
  '%s reads the directory that it started with, though another one takes its path',
  async (name) => {
    const run = async (isMoved: boolean): Promise<CliResult & { base: string }> => {
      const { base, fs, moved } = await filled(/snapshot_|log_/);
      if (!isMoved) moved.length = 0;
      const result = await runOn(fs, (context) => COMMANDS[name]!(context, base));
      expect(moved).toEqual([]);
      return { ...result, base };
    };
    const [still, away] = [await run(false), await run(true)];
    expect([still.code, still.err]).toEqual([0, '']);
    expect([away.code, away.err]).toEqual([0, '']);
    expect(away.out.split('\n').length).toBe(still.out.split('\n').length);
    expect(await readdir(join(away.base, 'store'))).toEqual([]);
  },
);

test.runIf(isLinux)(
  'salvage writes into the directory that it created, even if that is moved',
  async () => {
    const { base, fs, moved } = await filled(/SALVAGE\.json/);
    moved[0] = join(base, 'target');
    const { code } = await runOn(fs, (context) => COMMANDS['salvage']!(context, base));
    expect(code).toBe(0);
    expect(await readdir(join(base, 'target'))).toEqual([]);
    const names = await readdir(join(base, 'target-moved'));
    expect(names).toContain('SALVAGE.json');
    expect(names).not.toContain('INCOMPLETE');
  },
);

test.runIf(isLinux)('export writes into the directory that it started with', async () => {
  const { base, fs, moved } = await filled(/records\.partial/);
  mkdirSync(join(base, 'out'));
  moved[0] = join(base, 'out');
  const options = { format: 'jsonl', out: join(base, 'out', 'records') } as const;
  const { code } = await runOn(fs, (context) =>
    exportRecords(context, join(base, 'store'), options),
  );
  expect(code).toBe(0);
  expect(await readdir(join(base, 'out'))).toEqual([]);
  expect((await readFile(join(base, 'out-moved', 'records'), 'utf8')).split('\n')).toHaveLength(3);
});

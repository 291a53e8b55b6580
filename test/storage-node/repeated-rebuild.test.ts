import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { programPath } from '../support/program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openNode, put, SMALL } from './support/nodes.ts';

/** A node whose metadata is lost. */
async function lostNode(): Promise<string> {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  await node.createBucket('b');
  for (let i = 0; i < 5; i++) await put(node, 'b', `n${i}`, Buffer.from(`${i}`));
  await node.close();
  await rename(join(directory, 'metadata'), join(directory, 'elsewhere'));
  return directory;
}

/** A process that has stopped within its rebuild. */
async function stoppedRebuild(directory: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [programPath('stopped-rebuild'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  // It stops itself after that: a SIGCONT that comes first would have no effect.
  while (!(await isStopped(child.pid!))) await setTimeout(10);
  return child;
}

/** True where there is no `/proc`, too. */
async function isStopped(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat === undefined || stat.slice(stat.lastIndexOf(')')).startsWith(') T');
}

async function rebuildsIn(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith('metadata.rebuild'));
}

async function expectWhole(directory: string): Promise<void> {
  expect(await rebuildsIn(directory)).toEqual([]);
  const node = await openNode(directory);
  expect((await node.list('b')).objects.map(({ name }) => name)).toEqual(
    Array.from({ length: 5 }, (_, i) => `n${i}`),
  );
  expect(await node.recount()).toMatchObject({ isExact: true });
}

test('a rebuild is refused while another process rebuilds, which then ends as if alone', async () => {
  const directory = await lostNode();
  const child = await stoppedRebuild(directory);
  const refusal = {
    message: expect.stringContaining('another process rebuilds the metadata') as string,
    advice: expect.stringContaining('Wait') as string,
  };
  await expect(rebuildIndex(directory, SMALL)).rejects.toMatchObject(refusal);
  await expect(openNode(directory)).rejects.toMatchObject(refusal);
  expect(await rebuildsIn(directory)).toEqual(['metadata.rebuild']);
  const ended = once(child, 'exit');
  child.kill('SIGCONT');
  expect(await ended).toEqual([0, null]);
  await expectWhole(directory);
});

test('what a killed rebuild left is named by an open, and removed by the next rebuild', async () => {
  const directory = await lostNode();
  const child = await stoppedRebuild(directory);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  await expect(openNode(directory)).rejects.toMatchObject({
    message: expect.stringContaining('a rebuild of the metadata was interrupted') as string,
    advice: expect.stringContaining('again') as string,
  });
  // Another one was interrupted while it removed such a directory.
  await mkdir(join(directory, 'metadata.rebuild.5', 'quarantine'), { recursive: true });
  expect(await rebuildIndex(directory, SMALL)).toMatchObject({ objects: 5, former: undefined });
  await expectWhole(directory);
});

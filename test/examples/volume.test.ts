import { readdir, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Volume } from '../../examples/storage-node/volume.mjs';
import { VolumeSet } from '../../examples/storage-node/volume-set.mjs';
import { deferred } from '../support/deferred.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A file handle that fails and waits as it is told. */
class FakeFile {
  readonly content = Buffer.alloc(100);
  writeError: Error | undefined;
  syncError: Error | undefined;
  syncs = 0;
  gate: Promise<void> = Promise.resolve();

  /** Writes at most 4 bytes at a time. */
  async write(source: Buffer, from: number, lengthBytes: number, position: number) {
    if (this.writeError !== undefined) throw this.writeError;
    const bytesWritten = Math.min(4, lengthBytes);
    source.copy(this.content, position, from, from + bytesWritten);
    return Promise.resolve({ bytesWritten });
  }

  async datasync(): Promise<void> {
    this.syncs++;
    await this.gate;
    if (this.syncError !== undefined) throw this.syncError;
  }
}

function makeVolume() {
  const file = new FakeFile();
  return { file, volume: new Volume(1, file as unknown as FileHandle) };
}

const failure = (code: string) => Object.assign(new Error(code), { code });

test('appends lie behind each other, whatever the system writes at a time', async () => {
  const { file, volume } = makeVolume();
  const offsets = await Promise.all(
    ['hello', ' ', 'world'].map((text) => volume.append(Buffer.from(text))),
  );
  expect(offsets).toEqual([0, 5, 6]);
  expect(file.content.toString('utf8', 0, 11)).toBe('hello world');
});

test('callers that come while a sync runs share the next one', async () => {
  const { file, volume } = makeVolume();
  const gate = deferred<void>();
  file.gate = gate.promise;
  const first = volume.sync();
  await new Promise(setImmediate);
  const others = [volume.sync(), volume.sync(), volume.sync()];
  await new Promise(setImmediate);
  expect(file.syncs).toBe(1);
  gate.resolve();
  await Promise.all([first, ...others]);
  expect(file.syncs).toBe(2);
  expect(volume.syncs).toBe(2);
});

test('after a failed sync nothing is taken and no sync is tried again', async () => {
  const { file, volume } = makeVolume();
  file.syncError = failure('EIO');
  const both = [volume.sync(), new Promise(setImmediate).then(() => volume.sync())];
  for (const sync of both) await expect(sync).rejects.toThrow('EIO');
  file.syncError = undefined;
  expect(volume.isSound).toBe(false);
  await expect(volume.sync()).rejects.toThrow('EIO');
  await expect(volume.append(Buffer.from('x'))).rejects.toThrow('EIO');
  expect(file.syncs).toBe(1);
});

test('lack of space ends an append, not the volume', async () => {
  const { file, volume } = makeVolume();
  await volume.append(Buffer.from('abc'));
  file.writeError = failure('ENOSPC');
  await expect(volume.append(Buffer.from('def'))).rejects.toThrow('ENOSPC');
  file.writeError = undefined;
  expect(await volume.append(Buffer.from('ghi'))).toBe(3);
});

test('a volume that is full is followed by another; each run begins its own', async () => {
  const directory = join(await temporaryDirectory(), 'volumes');
  const first = await VolumeSet.open(directory, { volumeBytes: 5 });
  const extents = [];
  for (const text of ['abcdef', 'gh', 'ijk', 'l'])
    extents.push(await first.append(Buffer.from(text)));
  expect(extents.map(({ volume, offset }) => [volume, offset])).toEqual([
    [1, 0],
    [2, 0],
    [2, 2],
    [3, 0],
  ]);
  await first.close();

  const second = await VolumeSet.open(directory, { volumeBytes: 5 });
  expect((await second.append(Buffer.from('m'))).volume).toBe(4);
  const pieces = [];
  for await (const piece of second.read(extents[2]!, 1, 3)) pieces.push(piece);
  expect(Buffer.concat(pieces).toString()).toBe('jk');
  await second.close();
  expect(await readdir(directory)).toHaveLength(4);
  expect(await readFile(join(directory, 'volume-00000002'), 'utf8')).toBe('ghijk');
});

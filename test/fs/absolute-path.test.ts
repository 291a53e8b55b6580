import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { absolutePathOf } from '../../src/fs/absolute-path.ts';
import { MetadataStore, restoreBackup } from '../../src/index.ts';
import { closeDescriptor } from '../../src/fs/descriptor.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('half of a surrogate pair is refused', async () => {
  expect(() => absolutePathOf('a\ud800', 'directory')).toThrow(/directory is not valid Unicode/);
  expect(absolutePathOf('/a/\u{1f600}', 'directory')).toBe('/a/\u{1f600}');
  await expect(MetadataStore.open('/tmp/\udc00')).rejects.toThrow(TypeError);
});

test('a relative path in a working directory that is not UTF-8 is refused', async () => {
  const parent = await temporaryDirectory();
  // Node reads the byte 0xff as U+FFFD.
  const lossy = join(parent, 'b\ufffdd');
  vi.spyOn(process, 'cwd').mockReturnValue(lossy);
  onTestFinished(() => void vi.restoreAllMocks());
  const message = /relative to the working directory, whose path is not valid UTF-8/;
  expect(() => absolutePathOf('s', 'directory')).toThrow(message);
  await expect(MetadataStore.open('s')).rejects.toThrow(message);
  await expect(restoreBackup('b', '/tmp/never')).rejects.toThrow(message);
  expect(absolutePathOf('/s', 'directory')).toBe('/s');
  // Another directory than the working directory has the path.
  mkdirSync(lossy);
  expect(() => absolutePathOf('s', 'directory')).toThrow(message);
});

test.runIf(process.platform === 'linux')('a name with U+FFFD itself is valid', async () => {
  const directory = join(await temporaryDirectory(), '\ufffd');
  mkdirSync(directory);
  const descriptor = openSync(directory, 'r');
  onTestFinished(() => closeDescriptor(descriptor));
  expect(absolutePathOf(join(directory, 's'), 'directory')).toBe(join(directory, 's'));
});

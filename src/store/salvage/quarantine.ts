import { basename, join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import { QUARANTINE_NAME } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { FileWindow } from '../../fs/file-window.ts';
import { writeFully } from '../../fs/write.ts';

/**
 * Copies a damaged file to `quarantine/`, syncs it and returns the new path. The original stays
 * until the salvaged data is durable, so that it is still there after a crash.
 */
export async function quarantine(fs: FileSystem, directory: string, path: string): Promise<string> {
  const folder = join(directory, QUARANTINE_NAME);
  await fs.makeDirectory(folder).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error;
  });
  const { target, file } = await createUnused(fs, join(folder, basename(path)));
  await copyDurably(fs, path, file);
  await fs.syncDirectory(folder);
  await fs.syncDirectory(directory);
  return target;
}

/** Copies the file at `path` to a new file, syncs and closes it. */
export async function copyDurably(fs: FileSystem, path: string, file: OpenFile): Promise<void> {
  try {
    const source = await fs.open(path, 'r');
    try {
      const { sizeBytes } = await source.stat();
      const window = new FileWindow(source, sizeBytes);
      for (let position = 0; position < sizeBytes;) {
        const bytes = await window.some(position);
        if (bytes.length === 0) break;
        await writeFully(file, bytes, position);
        position += bytes.length;
      }
    } finally {
      await source.close();
    }
    await file.dataSync();
  } finally {
    await file.close();
  }
}

async function createUnused(
  fs: FileSystem,
  wanted: string,
): Promise<{ target: string; file: OpenFile }> {
  for (let attempt = 0; ; attempt++) {
    const target = attempt === 0 ? wanted : `${wanted}.${attempt}`;
    try {
      return { target, file: await fs.open(target, 'wx') };
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }
}

import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { FILE_HEADER_BYTES, identifyFileHeader } from '../format/file-header.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { isDeviceError } from './device-error.ts';
import { surveyDirectory } from './survey.ts';
import type { SurveyOptions } from './survey-options.ts';

const READ_BYTES: number = 1024 * 1024;

/**
 * Names of the files that the device cannot read: logs and snapshots, leftovers among them, and
 * files of a store under foreign names. Files with other errors are not named: a lack of permission
 * or of descriptors may be gone at the next attempt. Reads every file.
 */
export async function findUnreadable(
  fs: FileSystem,
  directory: string,
  options: Pick<SurveyOptions, 'signal' | 'progress'>,
): Promise<string[]> {
  const survey = await surveyDirectory(fs, directory, {
    ...options,
    depth: 'chunks',
    frames: false,
  });
  const { snapshots, logs, refusals, listing } = survey;
  const broken = new Set(
    [...refusals, ...[...snapshots, ...logs].flatMap(({ refusal }) => refusal ?? [])]
      .filter((refusal) => isDeviceError(refusal.systemCode))
      .map((refusal) => refusal.path),
  );
  const names = [...snapshots, ...logs].flatMap(({ name, path }) => (broken.has(path) ? name : []));
  for (const name of listing.foreign) {
    options.signal.throwIfAborted();
    if (await isUnreadableCopy(fs, join(directory, name), options.signal)) names.push(name);
  }
  return names;
}

/** Whether a file has the header of a log or a snapshot, and the device cannot read the rest. */
async function isUnreadableCopy(
  fs: FileSystem,
  path: string,
  signal: AbortSignal,
): Promise<boolean> {
  let isCopy = false;
  try {
    // Opening a pipe would wait for its writer.
    if ((await fs.stat(path)).kind !== 'file') return false;
    const file = await fs.open(path, 'r');
    try {
      const buffer = new Uint8Array(READ_BYTES);
      const head = buffer.subarray(0, FILE_HEADER_BYTES);
      isCopy = identifyFileHeader(head.subarray(0, await readFully(file, head, 0))) !== undefined;
      if (!isCopy) return false;
      for (let offset = FILE_HEADER_BYTES; ;) {
        signal.throwIfAborted();
        const count = await file.read(buffer, offset);
        if (count === 0) return false;
        offset += count;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === undefined || signal.aborted) throw error;
    return isCopy && isDeviceError(systemCode(error));
  }
}

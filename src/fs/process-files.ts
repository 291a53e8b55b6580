import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { lstat, open, readdir, stat } from 'node:fs/promises';
import { systemCode } from '../base/errors.ts';

/** The bytes of each file that are examined. */
const HEAD_BYTES = 4096;

/** The owner's permission to write, which `/proc` shows for a descriptor opened for writing. */
const WRITABLE = 0o200n;

/**
 * Whether a process has a file open for writing whose first bytes are wanted, except the file at
 * `exceptPath`. Files that were removed or renamed are found, too. Only where there is `/proc`.
 * Undefined if the process belongs to another user and its files cannot be examined.
 */
export async function hasFileOpen(
  pid: number,
  exceptPath: string | undefined,
  isWanted: (head: Uint8Array) => boolean,
): Promise<boolean | undefined> {
  const directory = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    const code = systemCode(error);
    return code === 'ENOENT' || code === 'ESRCH' ? false : undefined;
  }
  const except =
    exceptPath === undefined ? undefined : await orNothing(stat(exceptPath, { bigint: true }));
  for (const name of names) {
    const head = await headOf(`${directory}/${name}`, except);
    if (head !== undefined && isWanted(head)) return true;
  }
  return false;
}

/** Undefined if it is no file that is open for writing, if it is `except`, or if it is closed. */
async function headOf(path: string, except: BigIntStats | undefined): Promise<Buffer | undefined> {
  const link = await orNothing(lstat(path, { bigint: true }));
  if (link === undefined || (link.mode & WRITABLE) === 0n) return undefined;
  const found = await orNothing(stat(path, { bigint: true }));
  if (found === undefined || !found.isFile()) return undefined;
  if (found.dev === except?.dev && found.ino === except.ino) return undefined;
  const file = await orNothing(open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  if (file === undefined) return undefined;
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const read = await orNothing(file.read(head, 0, HEAD_BYTES, 0));
    return read && head.subarray(0, read.bytesRead);
  } finally {
    await file.close();
  }
}

function orNothing<T>(call: Promise<T>): Promise<T | undefined> {
  return call.catch(() => undefined);
}

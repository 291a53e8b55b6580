import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Directory } from '../../src/fs/directory.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { MetadataStore } from '../../src/index.ts';
import { systemCode } from '../../src/base/errors.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { readProcessIdentity } from '../../src/fs/process-identity.ts';
import type { OpenOptions } from '../../src/store/open/options.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

/** Key to value, without data. */
export type Records = Map<bigint, bigint>;

export function recordsOf(store: MetadataStore): Records {
  return new Map([...store.entries()].map(([key, { value }]) => [key, value]));
}

/** The records of a directory that is opened read-only. */
export async function recordsIn(directory: string): Promise<Records> {
  const store = await MetadataStore.open(directory, { readOnly: true });
  try {
    return recordsOf(store);
  } finally {
    await store.close();
  }
}

/** The inodes of all files in a directory. */
export function inodesIn(directory: string): Map<string, number> {
  return new Map(readdirSync(directory).map((name) => [name, statSync(join(directory, name)).ino]));
}

/** Opens a store on the real disk through the test's file system; jobs run inline. */
export function openThrough(
  fs: FileSystem,
  directory: string,
  options: OpenOptions = {},
): Promise<MetadataStore> {
  const environment = {
    fileSystem: fs,
    makeRunner: (held: Directory) => new InlineRunner(held),
    pause: () => new Promise<void>((resume) => setImmediate(resume)),
    identity: readProcessIdentity,
    randomBytes: (lengthBytes: number) => new Uint8Array(lengthBytes).fill(7),
  };
  return openStoreIn(environment, directory, options);
}

/** A system error like Node's. */
export function systemFailure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path });
}

/** True if the name exists. */
export async function exists(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CrashFs, type CrashFsOptions } from '../../src/testing/index.ts';
import { sha256 } from './golden.ts';

/** The files of a store's directory by name. */
export type Files = Map<string, Uint8Array>;

/** A machine with these files in `/s`, durable. */
export function machineWith(files: Files, options: CrashFsOptions = {}): CrashFs {
  const byPath = [...files].map(([name, bytes]) => [`/s/${name}`, bytes]);
  return CrashFs.withFiles(Object.fromEntries(byPath), { trace: false, ...options });
}

/** The files in `/s`, including quarantine, except the lock's. */
export function storeFiles(fs: CrashFs): Files {
  const files: Files = new Map();
  for (const [path, bytes] of fs.files()) {
    if (!path.startsWith('/s/lodestore.')) files.set(path.slice(3), bytes);
  }
  return files;
}

/** The files of a real directory. */
export function filesIn(directory: string): Files {
  const files: Files = new Map();
  for (const name of readdirSync(directory)) {
    files.set(name, new Uint8Array(readFileSync(join(directory, name))));
  }
  return files;
}

/** A copy with one file changed. */
export function withChange(
  files: Files,
  name: string,
  change: (bytes: Uint8Array) => Uint8Array,
): Files {
  const bytes = files.get(name);
  if (bytes === undefined) throw new Error(`there is no ${name}`);
  return new Map(files).set(name, change(bytes.slice()));
}

/** A copy with all bits of one byte flipped; a negative offset counts from the end. */
export function withFlip(files: Files, name: string, offset: number): Files {
  return withChange(files, name, (bytes) => {
    const at = offset < 0 ? bytes.length + offset : offset;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    return bytes;
  });
}

/** Names and SHA-256 of files, because large files compare slowly. */
export function hashesOf(files: Files): Map<string, string> {
  return new Map([...files].map(([name, bytes]) => [name, sha256(bytes)]));
}

import { randomBytes } from 'node:crypto';
import { chmod, open, readFile, rename } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeFileSystem } from 'lodestore/fs';
import type { NodeKey } from '../control/node-commands.ts';
import { AccessKeys } from '../s3/auth/access-keys.ts';

export type StoredKey = NodeKey;

export function keyFilePath(directory: string): string {
  return `${directory}/keys.json`;
}

/** The keys in the text of a key file. @throws Error for text that a server cannot use */
function keysOf(text: string): StoredKey[] {
  let keys: unknown;
  try {
    keys = JSON.parse(text);
  } catch (error) {
    // The rest of its message may have a secret of the file.
    const [place = ''] = / at position \d+/.exec((error as Error).message) ?? [];
    throw new Error(`it is not JSON${place}`, { cause: error });
  }
  const isList =
    Array.isArray(keys) &&
    keys.every((key: Partial<StoredKey> | null) => {
      return typeof key?.accessKeyId === 'string' && typeof key.secretAccessKey === 'string';
    });
  if (!isList) throw new Error('it is not a list of keys');
  const stored = keys as StoredKey[];
  if (stored.length > 0) void new AccessKeys(stored);
  return stored;
}

/** An empty list if there is no file. @throws Error that says what is wrong with the file */
export async function readKeys(directory: string): Promise<StoredKey[]> {
  let text: string;
  try {
    text = await readFile(keyFilePath(directory), 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return [];
    throw error;
  }
  try {
    return keysOf(text);
  } catch (error) {
    const reason = (error as Error).message;
    throw new Error(`${keyFilePath(directory)} cannot be used: ${reason}`, { cause: error });
  }
}

/** A change of the file takes milliseconds: who waits longer waits for a process that hangs. */
const LOCK_WAIT_MS = 10_000;
const LOCK_RETRY_MS = 20;

/**
 * Runs `change` while no other process changes the keys of the directory. Each change reads the
 * keys and writes them: without the lock, one of two at a time would be lost. The system releases
 * the lock of a process that has died. The lock file stays, because a new file of its name would
 * have a lock of its own.
 *
 * @throws Error if another process has the lock for longer than `waitMs`; nothing is changed then
 */
export async function withKeysLocked<T>(
  directory: string,
  change: () => Promise<T>,
  waitMs: number = LOCK_WAIT_MS,
): Promise<T> {
  const path = `${keyFilePath(directory)}.lock`;
  const endMs = performance.now() + waitMs;
  let lock = await nodeFileSystem.tryLock(path);
  while (lock === undefined) {
    if (performance.now() >= endMs) {
      throw new Error(`another process is changing the keys: it has locked ${path}`);
    }
    await sleep(LOCK_RETRY_MS);
    lock = await nodeFileSystem.tryLock(path);
  }
  try {
    return await change();
  } finally {
    await lock.release();
  }
}

/** The keys of the directory; the first one is made if there is none. */
export function ensureKeys(directory: string): Promise<StoredKey[]> {
  return withKeysLocked(directory, async () => {
    const stored = await readKeys(directory);
    if (stored.length > 0) return stored;
    const made = [makeKey()];
    await writeKeys(directory, made);
    return made;
  });
}

/**
 * Only the owner can read the file. It is replaced atomically, and durable when it resolves. For
 * the holder of the lock.
 */
export async function writeKeys(directory: string, keys: readonly StoredKey[]): Promise<void> {
  const path = keyFilePath(directory);
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(keys, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  // An existing file of that name keeps its mode.
  await chmod(temporary, 0o600);
  await rename(temporary, path);
  const held = await open(directory, 'r');
  try {
    await held.sync();
  } finally {
    await held.close();
  }
}

export function makeKey(): StoredKey {
  const accessKeyId = `LN${randomBytes(12).toString('base64url').replaceAll(/[-_]/g, 'A')}`;
  return {
    accessKeyId: accessKeyId.toUpperCase(),
    secretAccessKey: randomBytes(30).toString('base64url'),
  };
}

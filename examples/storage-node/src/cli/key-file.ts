import { randomBytes } from 'node:crypto';
import { chmod, open, readFile, rename } from 'node:fs/promises';
import type { NodeKey } from '../control/node-commands.ts';

export type StoredKey = NodeKey;

export function keyFilePath(directory: string): string {
  return `${directory}/keys.json`;
}

/** An empty list if there is no file. */
export async function readKeys(directory: string): Promise<StoredKey[]> {
  let text: string;
  try {
    text = await readFile(keyFilePath(directory), 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return [];
    throw error;
  }
  const keys = JSON.parse(text) as unknown;
  const isList =
    Array.isArray(keys) &&
    keys.every((key: Partial<StoredKey> | null) => {
      return typeof key?.accessKeyId === 'string' && typeof key.secretAccessKey === 'string';
    });
  if (!isList) throw new Error(`${keyFilePath(directory)} is not a list of keys`);
  return keys as StoredKey[];
}

/** Only the owner can read the file. It is replaced atomically, and durable when it resolves. */
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

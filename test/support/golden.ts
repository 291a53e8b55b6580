import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from './temporary-directory.ts';

export const V1: string = fileURLToPath(new URL('../golden/v1', import.meta.url));
export const V2: string = fileURLToPath(new URL('../golden/v2', import.meta.url));
export const V2_LOGS: string = fileURLToPath(new URL('../golden/v2-logs', import.meta.url));
export const V3_LOGS: string = fileURLToPath(new URL('../golden/v3-logs', import.meta.url));
export const ANCESTOR: string = fileURLToPath(new URL('../golden/ancestor', import.meta.url));

/** The names of the golden directories in a collection. */
export function goldenNames(collection: string): string[] {
  return readdirSync(collection, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/** A copy of a golden directory that may be changed. */
export async function copyOf(collection: string, name: string): Promise<string> {
  const target = join(await temporaryDirectory(), name);
  cpSync(join(collection, name), target, { recursive: true });
  return target;
}

/**
 * The SHA-256 of all files of a collection except the list itself, in the format of `sha256sum`.
 */
export function sumsOf(collection: string): string {
  const lines: string[] = [];
  for (const entry of readdirSync(collection, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || entry.name === 'SHA256SUMS') continue;
    const path = join(entry.parentPath, entry.name);
    lines.push(`${sha256(readFileSync(path))}  ${path.slice(collection.length + 1)}\n`);
  }
  return lines.sort().join('');
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

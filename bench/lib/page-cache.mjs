import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 * 1024;

/**
 * Reads every file once, so that all peers find theirs in the page cache.
 * @type {(directory: string) => Promise<void>}
 */
export async function warmPageCache(directory) {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  for (const file of files) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath ?? file.path, file.name);
    for await (const chunk of createReadStream(path, { highWaterMark: MIB })) void chunk;
  }
}

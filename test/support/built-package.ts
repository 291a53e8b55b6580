import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, realpath, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * A new directory with package.json, node_modules and a new build, because `dist` may be older than
 * the sources.
 */
export async function buildPackage(): Promise<string> {
  const home = await mkdtemp(join(await realpath(tmpdir()), 'lodestore-built-'));
  const rolldown = join(ROOT, 'node_modules', 'rolldown', 'bin', 'cli.mjs');
  const target = ['--dir', join(home, 'dist'), '--logLevel', 'silent'];
  await promisify(execFile)(process.execPath, [rolldown, '-c', 'rolldown.config.mjs', ...target], {
    cwd: ROOT,
  });
  await copyFile(join(ROOT, 'package.json'), join(home, 'package.json'));
  await symlink(join(ROOT, 'node_modules'), join(home, 'node_modules'));
  return home;
}

import { spawnSync } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BENCH = fileURLToPath(new URL('..', import.meta.url));

/**
 * Installs the peers on first use, and lets `import 'lodestore'` find this checkout's build.
 * @throws Error that says what to run, when something is missing
 */
export function setUp() {
  if (!existsSync(join(BENCH, 'node_modules/lmdb'))) {
    process.stdout.write('installing the peers (one is compiled: about two minutes)\n');
    const { status } = spawnSync('npm', ['--prefix', BENCH, 'ci'], { stdio: 'inherit' });
    if (status !== 0) throw new Error('npm --prefix bench ci failed');
  }
  const link = join(BENCH, 'node_modules/lodestore');
  if (!existsSync(link)) symlinkSync('../..', link);
  if (!existsSync(join(link, 'dist/index.js'))) {
    throw new Error('there is no build to measure: run npm run build');
  }
}

/**
 * Peers whose package loads here; those that do not are left out of every row and named in the
 * report.
 * @param {readonly string[]} peers
 * @returns {{ usable: string[], missing: Record<string, string> }}
 */
export function usablePeers(peers) {
  const usable = [];
  /** @type {Record<string, string>} */
  const missing = {};
  for (const peer of peers) {
    const file = JSON.stringify(new URL(`../peers/${peer}.mjs`, import.meta.url).href);
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', `await import(${file})`],
      { encoding: 'utf8' },
    );
    if (status === 0) usable.push(peer);
    else missing[peer] = /^\w*Error.*$/m.exec(stderr)?.[0] ?? 'does not load';
  }
  return { usable, missing };
}

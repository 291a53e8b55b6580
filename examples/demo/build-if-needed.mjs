// @ts-check
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** @param {string} path */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** @param {string} folder */
function newestMs(folder) {
  const names = readdirSync(`${ROOT}${folder}`, { recursive: true });
  return Math.max(...names.map((name) => modifiedMs(`${ROOT}${folder}/${String(name)}`)));
}

const NODE = 'examples/storage-node';
const isOld =
  modifiedMs(`${ROOT}dist/index.js`) < newestMs('src') ||
  modifiedMs(`${ROOT}${NODE}/dist/index.js`) < newestMs(`${NODE}/src`);
if (isOld) {
  console.log('building');
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}

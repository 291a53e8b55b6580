import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('../child.mjs', import.meta.url));
const ERROR_CHARACTERS = 600;

/**
 * Runs a row's `measure(job)` in a fresh process.
 * @param {string} scratch Directory for the result's file.
 * @param {string} row Name of the row's file.
 * @param {Record<string, unknown>} job
 * @param {{ timeoutMs: number, wrapper?: readonly string[] }} options `wrapper`: a command to run
 *   it under.
 * @returns {Promise<any>} What `measure` returned. Rejects with what the process said last if it
 *   failed.
 */
export async function runChild(scratch, row, job, { timeoutMs, wrapper = [] }) {
  const folder = mkdtempSync(join(scratch, 'job-'));
  const resultPath = join(folder, 'result.json');
  const node = [process.execPath, '--expose-gc', '--max-old-space-size=8192', CHILD];
  const [command, ...args] = [...wrapper, ...node, JSON.stringify({ row, job, resultPath })];
  try {
    await exitOf(command, args, timeoutMs);
    return JSON.parse(readFileSync(resultPath, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @type {(command: string, args: string[], timeoutMs: number) => Promise<void>} */
function exitOf(command, args, timeoutMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => (said = (said + text).slice(-ERROR_CHARACTERS)));
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve();
      else if (signal === 'SIGKILL') reject(new Error(`took more than ${timeoutMs / 1000} s`));
      else reject(new Error(`exit ${code ?? signal}: ${said.trim()}`));
    });
  });
}

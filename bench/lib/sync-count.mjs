import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const OPENS = ['open', 'openat'];
const WRITES = ['write', 'pwrite64', 'writev', 'pwritev', 'pwritev2'];
const SYNCS = ['fsync', 'fdatasync', 'msync', 'sync_file_range'];
const CALLS = [...OPENS, 'close', 'io_uring_enter', ...WRITES, ...SYNCS];

/**
 * The command that records the calls of another one in `file`. @type {(file: string) => string[]}
 */
export function tracer(file) {
  return ['strace', '-f', '-qq', '-e', `trace=${CALLS.join(',')}`, '-e', 'signal=none', '-o', file];
}

/** True if system calls can be traced here. */
export function canTrace() {
  return spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;
}

/** @type {(folder: string) => string} */
export const traceFile = (folder) => join(folder, 'trace.txt');

/**
 * Calls that make something durable, by name; `O_DSYNC write` for writes to a file opened so.
 * @type {(file: string) => Record<string, number>}
 */
export function countSyncs(file) {
  const counts = {};
  const durable = new Set();
  const unfinished = new Map();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const call = wholeCall(line, unfinished);
    if (call === undefined) continue;
    const { name, args, result } = call;
    const count = (label) => (counts[label] = (counts[label] ?? 0) + 1);
    if (OPENS.includes(name)) {
      if (result >= 0 && /O_DSYNC|O_SYNC/.test(args)) durable.add(result);
      else durable.delete(result);
    } else if (SYNCS.includes(name) || name === 'io_uring_enter') {
      count(name);
    } else if (WRITES.includes(name)) {
      if (durable.has(Number.parseInt(args, 10)) || /RWF_D?SYNC/.test(args)) count('O_DSYNC write');
    }
  }
  rmSync(file, { force: true });
  return counts;
}

/** Joins a call that was interrupted by another thread with the line that resumes it. */
function wholeCall(line, unfinished) {
  const thread = Number.parseInt(line, 10);
  const start = /^\d+\s+(\w+)\((.*) <unfinished \.\.\.>$/.exec(line);
  if (start !== null) {
    unfinished.set(thread, start[2]);
    return undefined;
  }
  const resumed = /^\d+\s+<\.\.\. (\w+) resumed>(.*)\)\s+= (-?\d+)/.exec(line);
  if (resumed !== null) {
    const args = (unfinished.get(thread) ?? '') + resumed[2];
    return { name: resumed[1], args, result: Number(resumed[3]) };
  }
  const whole = /^\d+\s+(\w+)\((.*)\)\s+= (-?\d+)/.exec(line);
  return whole === null ? undefined : { name: whole[1], args: whole[2], result: Number(whole[3]) };
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { judge } from './fault-batches.ts';
import type { Report } from './report.ts';
import { hasTool, inTemporary, program, run, type Ran } from './shell.ts';

/**
 * One thread for all I/O of the process, because strace counts the calls of each thread separately.
 */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' };

async function traced(
  call: string,
  injection: string | undefined,
  directory: string,
  log: string,
  first = 0,
): Promise<Ran> {
  // Without --seccomp-bpf, which miscounts injections at a given call.
  const args = ['-f', '-qq', '-o', log, '-e', `trace=${call}`];
  if (injection !== undefined) args.push(`--inject=${call}:${injection}`);
  args.push(process.execPath, ...program('./fault-writer.ts', directory, `${first}`));
  return run('strace', args, ONE_THREAD);
}

/** The number of calls by the thread that makes the most. */
async function countCalls(call: string): Promise<number> {
  return inTemporary(async (directory) => {
    const log = join(directory, 'trace');
    const ran = await traced(call, undefined, join(directory, 'store'), log);
    if (!ran.lines.includes('close ok')) throw new Error(ran.lines.join(', ') + ran.errors);
    const counts = new Map<string, number>();
    for (const line of readFileSync(log, 'utf8').split('\n')) {
      const [thread = ''] = line.split(' ');
      if (line.includes(`${call}(`)) counts.set(thread, (counts.get(thread) ?? 0) + 1);
    }
    return Math.max(0, ...counts.values());
  });
}

/** The numbers 1 to `count`, evenly thinned to at most `limit`. */
function places(count: number, limit: number): number[] {
  const step = Math.max(1, count / limit);
  const all = new Set<number>();
  for (let k = 1; k <= count; k += step) all.add(Math.floor(k));
  return [...all];
}

export async function killAtEachCall(report: Report, limit: number): Promise<void> {
  if (!hasTool('strace')) return report.skip('all', 'there is no strace');
  for (const call of ['pwrite64', 'fdatasync', 'fsync', 'rename', 'unlink', 'mkdir', 'ftruncate']) {
    const count = await countCalls(call);
    let killed = 0;
    for (const k of places(count, limit)) {
      const what = `SIGKILL at ${call} ${k} of ${count}`;
      await inTemporary(async (directory) => {
        const store = join(directory, 'store');
        const ran = await traced(call, `signal=KILL:when=${k}`, store, join(directory, 'trace'));
        if (!ran.lines.includes('close ok')) killed++;
        report.check(what, await judge(store, ran.lines));
      });
    }
    report.note(`${call}: ${count} calls, killed at ${killed} of them`);
  }
}

const FAULTS = [
  ['pwrite64', 'EIO'],
  ['pwrite64', 'ENOSPC'],
  ['pwrite64', 'EDQUOT'],
  ['fdatasync', 'EIO'],
  ['fsync', 'EIO'],
  ['rename', 'EIO'],
  ['unlink', 'EIO'],
  ['ftruncate', 'EIO'],
  ['pread64', 'EIO'],
] as const;

export async function failEachCall(report: Report, limit: number): Promise<void> {
  if (!hasTool('strace')) return report.skip('all', 'there is no strace');
  for (const [call, error] of FAULTS) {
    const count = await countCalls(call);
    const ends = new Map<string, number>();
    for (const k of places(count, limit)) {
      for (const when of [`${k}`, `${k}+`]) {
        await inTemporary(async (directory) => {
          const store = join(directory, 'store');
          const injection = `error=${error}:when=${when}`;
          const ran = await traced(call, injection, store, join(directory, 'trace'));
          report.check(`${error} at ${call} ${when} of ${count}`, await judgeEnd(store, ran));
          const rejected = ran.lines.filter((line) => line.startsWith('rejected'));
          const last = ran.lines.findLast((line) => /^(close|refused)/.test(line));
          const isPoisoned = rejected.some((line) => line.endsWith('POISONED'));
          const end = `${last ?? 'no start'}${isPoisoned ? ' after poisoning' : ''}`;
          ends.set(end, (ends.get(end) ?? 0) + 1);
        });
      }
    }
    const summary = [...ends].map(([end, times]) => `${times} × ${end}`).join(', ');
    report.note(`${call} ${error}: ${count} calls; ${summary || 'never called'}`);
  }
}

async function judgeEnd(store: string, ran: Ran): Promise<string | undefined> {
  // Node itself reads, too: a failure before the first output is not ours.
  if (ran.lines.length === 0 && ran.code !== 0) return undefined;
  if (ran.signal !== null || ran.code !== 0) {
    return `the process ended with ${ran.signal ?? ran.code}: ${ran.errors.slice(0, 500)}`;
  }
  return judge(store, ran.lines);
}

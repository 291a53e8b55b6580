import { existsSync, mkdirSync, rmdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';

/** A kernel control group that limits the memory of its processes together. */
export interface MemoryGroup {
  /** Put before the command that is to run in it. */
  readonly prefix: readonly string[];
  remove(): Promise<void>;
}

/** Creates a group. Returns why if that is not possible. */
export function makeMemoryGroup(limitBytes: number): MemoryGroup | string {
  if (process.platform !== 'linux') return 'the system is not Linux';
  if (process.getuid?.() !== 0) return 'only root makes control groups';
  const isV1 = existsSync(`${V1}/memory.limit_in_bytes`);
  const isV2 = existsSync(`${V2}/cgroup.controllers`);
  if (!isV1 && !isV2) return 'no control groups for memory are mounted';
  const path = `${isV1 ? V1 : V2}/lodestore-${process.pid}-${Date.now()}`;
  try {
    mkdirSync(path);
    writeFileSync(`${path}/${isV1 ? 'memory.limit_in_bytes' : 'memory.max'}`, `${limitBytes}`);
  } catch (error) {
    if (existsSync(path)) rmdirSync(path);
    return `the group cannot be made: ${(error as Error).message}`;
  }
  return {
    prefix: ['sh', '-c', `echo $$ > ${path}/cgroup.procs && exec "$@"`, 'sh'],
    remove: () => removeGroup(path),
  };
}

/** An ended process leaves its group a moment later. */
async function removeGroup(path: string): Promise<void> {
  while (readFileSync(`${path}/cgroup.procs`, 'latin1') !== '') await sleep(5);
  rmdirSync(path);
}

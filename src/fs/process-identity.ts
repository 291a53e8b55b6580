import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';

/** Identity of this process among all processes, on this machine and others. */
export interface ProcessIdentity {
  readonly pid: number;
  /**
   * When the process started, in clock ticks since boot. Tells processes with the same pid apart.
   */
  readonly processStartTicks: number | undefined;
  /** One per boot of the kernel, the same in all its containers. */
  readonly bootId: string | undefined;
  /** One per installation, as a hash: the id itself is confidential. */
  readonly machineId: string | undefined;
  readonly hostName: string;
}

/** Fields that the system does not provide are undefined. Never rejects. */
export async function readProcessIdentity(): Promise<ProcessIdentity> {
  const [processStat, bootId, machineId] = await Promise.all([
    readText('/proc/self/stat'),
    readText('/proc/sys/kernel/random/boot_id'),
    readText('/etc/machine-id'),
  ]);
  return {
    pid: process.pid,
    processStartTicks: processStat === undefined ? undefined : startTicksOf(processStat),
    bootId: bootId === undefined || bootId === '' ? undefined : bootId,
    machineId: machineId === undefined ? undefined : hashMachineId(machineId),
    hostName: hostname(),
  };
}

/**
 * Field 22 of `/proc/PID/stat`. Counted from the end of the name, which may contain blanks and
 * parentheses.
 */
export function startTicksOf(processStat: string): number | undefined {
  const fields = processStat.slice(processStat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[19] ?? Number.NaN);
  return Number.isSafeInteger(ticks) ? ticks : undefined;
}

/**
 * When the process started. Undefined if it does not run, or the system does not say. A zombie does
 * not run.
 */
export async function readStartTicks(pid: number): Promise<number | undefined> {
  const processStat = await readText(`/proc/${pid}/stat`);
  if (processStat === undefined || isEnded(processStat)) return undefined;
  return startTicksOf(processStat);
}

/** Whether the process has ended, and its parent has not taken note yet. */
function isEnded(processStat: string): boolean {
  const state = processStat.charAt(processStat.lastIndexOf(')') + 2);
  return state === 'Z' || state === 'X';
}

/**
 * Images that have not booted yet have an empty id or `uninitialized`: the same on all machines.
 */
export function hashMachineId(machineId: string): string | undefined {
  if (!/^[0-9a-f]{32}$/.test(machineId)) return undefined;
  return createHash('sha256').update(machineId).digest('hex').slice(0, 32);
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}

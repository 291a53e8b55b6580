import type { LockOwner } from '../base/errors.ts';
import { crc32c } from '../format/crc.ts';
import type { ProcessIdentity } from '../fs/process-identity.ts';

/** The current or last holder of the directory: the content of the lock file. */
export interface OwnerRecord extends ProcessIdentity {
  /** Random, so that two locks of one process differ. */
  readonly nonce: string;
  /** Milliseconds since 1970, by the owner's clock. */
  readonly openedAtMs: number;
  /** The count of opens, if known. */
  readonly epoch: number | undefined;
  /**
   * The identity of the lock file that the owner has locked, if known. A copy of the file is
   * another one.
   */
  readonly lockFile?: string | undefined;
}

/** Space for the record in the lock file. Bytes after it are not part of it. */
export const MAX_RECORD_BYTES = 4096;

/**
 * The disk writes a sector of this size whole or not at all, so a record that is replaced in place
 * is never torn.
 */
const SECTOR_BYTES = 512;

/**
 * A line of JSON, which is readable for people, then a line with its checksum, then blanks up to a
 * whole sector.
 */
export function encodeOwnerRecord(record: OwnerRecord): Uint8Array {
  const json = JSON.stringify(record);
  const line = new TextEncoder().encode(`${json}\n${checksumOf(json)}\n`);
  const sectors = Math.ceil(line.length / SECTOR_BYTES);
  const bytes = new Uint8Array(sectors * SECTOR_BYTES).fill(0x20);
  bytes.set(line);
  return bytes;
}

/** A sector without a record. It also invalidates the rest of a longer record after it. */
export function encodeNoOwner(): Uint8Array {
  return new Uint8Array(SECTOR_BYTES).fill(0x20);
}

/** Undefined if the file is empty, the record half written, or the content something else. */
export function decodeOwnerRecord(bytes: Uint8Array): OwnerRecord | undefined {
  const [json, checksum, rest] = new TextDecoder().decode(bytes).split('\n', 3);
  if (json === undefined || rest === undefined || checksum !== checksumOf(json)) return undefined;
  try {
    return recordOf(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/** The part of a record that errors include. */
export function lockOwnerOf(record: OwnerRecord | undefined): LockOwner {
  return {
    pid: record?.pid,
    hostName: record?.hostName,
    openedAtMs: record?.openedAtMs,
  };
}

/**
 * Whether both are known to be of one machine, so that a free kernel lock proves the owner dead.
 *
 * Equal boot ids mean one kernel, whatever host names its containers have. After a reboot, machine
 * id and host name must both agree: machines made from one image may share the id, and containers
 * may keep their name when they move to another machine.
 */
export function isSameMachine(one: ProcessIdentity, other: ProcessIdentity): boolean {
  const knowBoots = one.bootId !== undefined && other.bootId !== undefined;
  if (knowBoots && one.bootId === other.bootId) return true;
  if (one.hostName !== other.hostName) return false;
  if (one.machineId === undefined || other.machineId === undefined) return !knowBoots;
  return one.machineId === other.machineId;
}

function checksumOf(json: string): string {
  return crc32c(json).toString(16).padStart(8, '0');
}

function recordOf(value: unknown): OwnerRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields: Partial<Record<keyof OwnerRecord, unknown>> = value;
  const pid = numberOf(fields.pid);
  const openedAtMs = numberOf(fields.openedAtMs);
  const hostName = textOf(fields.hostName);
  const nonce = textOf(fields.nonce);
  if (pid === undefined || openedAtMs === undefined) return undefined;
  if (hostName === undefined || nonce === undefined) return undefined;
  return {
    pid,
    processStartTicks: numberOf(fields.processStartTicks),
    bootId: textOf(fields.bootId),
    machineId: textOf(fields.machineId),
    hostName,
    nonce,
    openedAtMs,
    epoch: numberOf(fields.epoch),
    lockFile: textOf(fields.lockFile),
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

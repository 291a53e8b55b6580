import type { LockOwner } from '../base/errors.ts';
import { crc32c } from '../format/crc.ts';
import type { ProcessIdentity } from '../fs/process-identity.ts';

/** Who holds the directory, or did so last: the content of the lock file. */
export interface OwnerRecord extends ProcessIdentity {
  /** Random, so that two locks of one process differ. */
  readonly nonce: string;
  /** Milliseconds since 1970, by the owner's clock. */
  readonly openedAtMs: number;
  /** The count of opens, where it was known. */
  readonly epoch: number | undefined;
}

/** Room of the record in the lock file: what stands behind it is none. */
export const MAX_RECORD_BYTES = 4096;

/** A disk writes one sector whole or not at all: the record is replaced in place and never torn. */
const SECTOR_BYTES = 512;

/**
 * One line of JSON, which people may read, then one with its checksum, then blanks up to a whole
 * sector.
 */
export function encodeOwnerRecord(record: OwnerRecord): Uint8Array {
  const json = JSON.stringify(record);
  const line = new TextEncoder().encode(`${json}\n${checksumOf(json)}\n`);
  const sectors = Math.ceil(line.length / SECTOR_BYTES);
  const bytes = new Uint8Array(sectors * SECTOR_BYTES).fill(0x20);
  bytes.set(line);
  return bytes;
}

/** A sector that is no record; bytes of a longer record behind it are none either. */
export function encodeNoOwner(): Uint8Array {
  return new Uint8Array(SECTOR_BYTES).fill(0x20);
}

/** Undefined for an empty file, a record half written, or one that is none of ours. */
export function decodeOwnerRecord(bytes: Uint8Array): OwnerRecord | undefined {
  const [json, checksum, rest] = new TextDecoder().decode(bytes).split('\n', 3);
  if (json === undefined || rest === undefined || checksum !== checksumOf(json)) return undefined;
  try {
    return recordOf(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/** The part of a record that errors carry. */
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
 * Equal boots are one kernel, whatever its containers call themselves. After a reboot the machine
 * id and the host name must both agree: machines made from one image may share the id, and
 * containers may keep their name while they move to another machine.
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
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

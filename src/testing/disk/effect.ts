import type { Content } from './content.ts';

/**
 * The file system whose promises hold.
 *
 * - `posix`: the bare standard. A file's sync makes no name durable; any pending names may survive.
 * - `ordered`: ext4 with `data=ordered`, xfs. Names survive in the order in which they were made,
 *   and a sync that has metadata of its own to write makes all earlier ones durable. Size follows
 *   data.
 * - `linked`: btrfs. Such a sync makes the names of that file and of its missing parents durable.
 */
export type CrashModel = 'posix' | 'ordered' | 'linked';

/**
 * `pending`: visible, may or may not survive a crash. `durable`: survives. `doomed`: its sync has
 * failed; visible, may or may not survive, and no later sync makes it durable.
 */
export type EffectStatus = 'pending' | 'durable' | 'doomed';

interface Timed {
  status: EffectStatus;
  readonly startTick: number;
  /** Infinity while the call is in flight. */
  endTick: number;
}

export interface WriteEffect extends Timed {
  readonly kind: 'write';
  readonly startBytes: number;
  readonly endBytes: number;
  readonly bytes: Uint8Array;
  /** Size that the file has at least after it; -1 for a trim, which gives a file no size. */
  readonly sizeBytes: number;
  /** The file grew, so that a sync of it has metadata to write. */
  readonly changesSize: boolean;
}

export interface TruncateEffect extends Timed {
  readonly kind: 'truncate';
  readonly sizeBytes: number;
  readonly changesSize: boolean;
}

export type DataEffect = WriteEffect | TruncateEffect;

/** One change of a directory's names, kept or lost as a whole. */
export interface NameEffect extends Timed {
  readonly kind: 'create' | 'link' | 'makeDirectory' | 'rename' | 'unlink';
  readonly directoryId: number;
  /** The name that is set; for `unlink`, removed. */
  readonly name: string;
  /** The name that a rename removes. */
  readonly fromName: string | undefined;
  readonly inodeId: number;
}

/** Atomic unit of a disk, and the unit in which file systems update a size. */
export const SECTOR_BYTES = 512;
export const PAGE_BYTES = 4096;

/** True when a sync that started at `syncStartTick` covers the effect. */
export function endedBefore(effect: Timed, syncStartTick: number): boolean {
  return effect.endTick < syncStartTick;
}

/** Applies a kept name effect to the names of its directory. */
export function applyName(effect: NameEffect, entries: Map<string, number>): void {
  if (effect.kind === 'unlink') {
    entries.delete(effect.name);
    return;
  }
  if (effect.fromName !== undefined) entries.delete(effect.fromName);
  entries.set(effect.name, effect.inodeId);
}

/** True when both effects set or remove one and the same name. */
export function touchSameName(a: NameEffect, b: NameEffect): boolean {
  if (a.directoryId !== b.directoryId) return false;
  if (a.name === b.name || a.name === b.fromName) return true;
  return a.fromName !== undefined && (a.fromName === b.name || a.fromName === b.fromName);
}

/** True for zeros that a trim leaves: they end where the file ends. */
export function isTrim(effect: DataEffect): boolean {
  return effect.sizeBytes < 0;
}

/** Applies a whole effect. */
export function applyData(effect: DataEffect, content: Content): void {
  if (effect.kind === 'truncate') {
    content.truncate(effect.sizeBytes);
    return;
  }
  const room = isTrim(effect) ? Math.max(0, content.sizeBytes - effect.startBytes) : Infinity;
  content.write(effect.bytes.subarray(0, room), effect.startBytes);
}

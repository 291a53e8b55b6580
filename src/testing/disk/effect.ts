import type { Content } from './content.ts';

/**
 * The guarantees of the file system.
 *
 * - `posix`: only the standard's. A file's sync makes no name durable; any pending names may
 *   survive.
 * - `ordered`: ext4 with `data=ordered`, xfs. Names survive in the order of their creation. A sync
 *   that has metadata to write makes all earlier names durable. The size does not pass unwritten
 *   data.
 * - `linked`: btrfs. A sync that has metadata to write makes the names of that file and of its
 *   missing parents durable.
 */
export type CrashModel = 'posix' | 'ordered' | 'linked';

/**
 * - `pending`: visible, may or may not survive a crash.
 * - `durable`: survives.
 * - `doomed`: its sync failed. Visible, may or may not survive, and no later sync makes it durable.
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
  /** The minimum size of the file after it; -1 for a trim, which does not change the size. */
  readonly sizeBytes: number;
  /** True if the file grew, so that its sync has metadata to write. */
  readonly changesSize: boolean;
}

export interface TruncateEffect extends Timed {
  readonly kind: 'truncate';
  readonly sizeBytes: number;
  readonly changesSize: boolean;
}

export type DataEffect = WriteEffect | TruncateEffect;

/** One change of a directory's names. A crash keeps it whole or loses it. */
export interface NameEffect extends Timed {
  readonly kind: 'create' | 'link' | 'makeDirectory' | 'rename' | 'unlink';
  readonly directoryId: number;
  /** The name that is set, or removed for `unlink`. */
  readonly name: string;
  /** The name that a rename removes. */
  readonly fromName: string | undefined;
  readonly inodeId: number;
}

/** The atomic unit of a disk, and the unit in which file systems update a size. */
export const SECTOR_BYTES = 512;
export const PAGE_BYTES = 4096;

/** True if a sync that started at `syncStartTick` covers the effect. */
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

/** True if both effects set or remove the same name. */
export function touchSameName(a: NameEffect, b: NameEffect): boolean {
  if (a.directoryId !== b.directoryId) return false;
  if (a.name === b.name || a.name === b.fromName) return true;
  return a.fromName !== undefined && (a.fromName === b.name || a.fromName === b.fromName);
}

/** True for the zeros of a trim: they end at the end of the file. */
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

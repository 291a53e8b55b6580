import type { Content } from './disk/content.ts';
import { pageEdges } from './disk/disk.ts';
import { applyData, isTrim } from './disk/effect.ts';
import type { CrashModel, DataEffect, WriteEffect } from './disk/effect.ts';
import type { FileInode } from './disk/file-inode.ts';

/** Bytes [start, end) of a file. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
}

/** What a crash keeps of one effect that is not durable. */
export interface Keep {
  /** Bytes of a write that reached the disk. Empty for a truncate. */
  readonly ranges: readonly FileRange[];
  /**
   * The size that the effect gave the file. -1 if the size did not reach the disk, or for a trim. A
   * truncate is kept if this is its size.
   */
  readonly sizeBytes: number;
}

/**
 * The content after the old end where written bytes were lost: zeros, binary junk, or junk that is
 * valid text.
 */
export type Fill = 0 | 0xa5 | 0x61;

export const FILLS: readonly Fill[] = [0, 0xa5, 0x61];

/** One state in which a crash can leave a file. */
export interface FileVariant {
  /** A phrase for what was kept. */
  readonly label: string;
  /** One for each effect of the file; ignored for durable effects. */
  readonly keeps: readonly Keep[];
  readonly sizeBytes: number;
  readonly fill: Fill;
}

export const LOST: Keep = { ranges: [], sizeBytes: -1 };

/** Keeps the whole effect. */
export function keepAll(effect: DataEffect): Keep {
  if (effect.kind === 'truncate') return { ranges: [], sizeBytes: effect.sizeBytes };
  return {
    ranges: [{ start: effect.startBytes, end: effect.endBytes }],
    sizeBytes: effect.sizeBytes,
  };
}

/** True if a crash may keep or lose the effect. */
export function isOpen(effect: DataEffect): boolean {
  return effect.status !== 'durable';
}

/** The size if each kept effect is kept with its size. */
export function naturalSize(file: FileInode, keeps: readonly Keep[]): number {
  let sizeBytes = file.durable.sizeBytes;
  file.effects.forEach((effect, index) => {
    const keep = isOpen(effect) ? keeps[index]! : keepAll(effect);
    if (keep.sizeBytes < 0) return;
    sizeBytes = effect.kind === 'write' ? Math.max(sizeBytes, keep.sizeBytes) : keep.sizeBytes;
  });
  return sizeBytes;
}

/**
 * All legal sizes, ascending: the durable size, the end of each kept effect, page edges inside
 * effects.
 */
export function legalSizes(file: FileInode, keeps: readonly Keep[]): number[] {
  let sizes = new Set([file.durable.sizeBytes]);
  file.effects.forEach((effect, index) => {
    if (isTrim(effect)) return;
    const keep = keeps[index]!;
    const kept = !isOpen(effect) || keep.sizeBytes >= 0 || keep.ranges.length > 0;
    if (!kept) return;
    if (effect.kind === 'truncate') sizes = new Set([effect.sizeBytes]);
    else if (!isOpen(effect)) sizes = raised(sizes, effect.endBytes);
    else {
      for (const end of [effect.endBytes, ...pageEdges(effect.startBytes, effect.endBytes)]) {
        for (const size of raised(sizes, end)) sizes.add(size);
      }
    }
  });
  return [...sizes].toSorted((a, b) => a - b);
}

function raised(sizes: ReadonlySet<number>, end: number): Set<number> {
  return new Set([...sizes].map((size) => Math.max(size, end)));
}

/**
 * The ranges between the old end and the size whose written bytes were lost. With `ordered` there
 * are none, except for bytes that a failed sync dropped and bytes that a durable size has passed.
 */
export function holesOf(file: FileInode, variant: FileVariant, model: CrashModel): FileRange[] {
  const ordered = model === 'ordered';
  let lost: FileRange[] = [];
  let covered: FileRange[] = [];
  let oldEnd = file.durable.sizeBytes;
  file.effects.forEach((effect, index) => {
    const keep = isOpen(effect) ? variant.keeps[index]! : keepAll(effect);
    if (effect.kind === 'truncate') {
      if (keep.sizeBytes < 0) return;
      const beyond = [{ start: effect.sizeBytes, end: Infinity }];
      lost = subtract(lost, beyond);
      covered = subtract(covered, beyond);
      oldEnd = ordered ? effect.sizeBytes : Math.min(oldEnd, effect.sizeBytes);
      return;
    }
    if (ordered && !isOpen(effect) && !isTrim(effect)) oldEnd = Math.max(oldEnd, effect.endBytes);
    lost = subtract(lost, keep.ranges);
    covered = [...covered, ...keep.ranges];
    // A trim that was lost leaves the old bytes, no hole.
    if (isTrim(effect)) return;
    const whole = [{ start: effect.startBytes, end: effect.endBytes }];
    if (!ordered || effect.status !== 'doomed') lost = [...lost, ...subtract(whole, covered)];
  });
  return subtract(lost, [
    { start: 0, end: oldEnd },
    { start: variant.sizeBytes, end: Infinity },
  ]);
}

/** True if the model allows the variant. */
export function isLegal(file: FileInode, variant: FileVariant, model: CrashModel): boolean {
  if (model !== 'posix' && variant.fill !== 0) return false;
  return model !== 'ordered' || holesOf(file, variant, model).length === 0;
}

/** The bytes of the variant. */
export function render(file: FileInode, variant: FileVariant, model: CrashModel): Content {
  const content = file.durable.share();
  file.effects.forEach((effect, index) => {
    if (!isOpen(effect)) applyData(effect, content);
    else if (effect.kind === 'write') writeRanges(content, effect, variant.keeps[index]!);
    else if (variant.keeps[index]!.sizeBytes >= 0) content.truncate(effect.sizeBytes);
  });
  if (content.sizeBytes !== variant.sizeBytes) content.truncate(variant.sizeBytes);
  if (variant.fill !== 0) {
    for (const hole of holesOf(file, variant, model)) {
      content.fill(variant.fill, hole.start, hole.end);
    }
  }
  return content;
}

function writeRanges(content: Content, effect: WriteEffect, keep: Keep): void {
  for (const { start, end } of keep.ranges) {
    const from = start - effect.startBytes;
    content.write(effect.bytes.subarray(from, end - effect.startBytes), start);
  }
}

/** The parts of `ranges` that no range of `removed` covers. */
function subtract(ranges: readonly FileRange[], removed: readonly FileRange[]): FileRange[] {
  let rest = [...ranges];
  for (const cut of removed) {
    const next: FileRange[] = [];
    for (const { start, end } of rest) {
      if (start < Math.min(end, cut.start)) next.push({ start, end: Math.min(end, cut.start) });
      if (Math.max(start, cut.end) < end) next.push({ start: Math.max(start, cut.end), end });
    }
    rest = next;
  }
  return rest;
}

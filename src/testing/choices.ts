import { CrashState } from './crash-state.ts';
import type { KeptContent } from './crash-state.ts';
import { edges } from './disk/disk.ts';
import type { Disk } from './disk/disk.ts';
import { SECTOR_BYTES } from './disk/effect.ts';
import type { CrashModel, DataEffect, NameEffect, WriteEffect } from './disk/effect.ts';
import type { FileInode } from './disk/file-inode.ts';
import {
  FILLS,
  LOST,
  holesOf,
  isOpen,
  keepAll,
  legalSizes,
  naturalSize,
  render,
} from './file-variant.ts';
import type { FileRange, FileVariant, Keep } from './file-variant.ts';
import type { Tear } from './file-variant-list.ts';
import { buildNamespace, keepsNameOrder } from './namespace.ts';
import type { NameSelection } from './namespace.ts';
import type { Random } from './engine/random.ts';

/** The source of the choices of one crash. 0 always means the mildest. */
export interface Choices {
  /** A whole number in [0, bound). */
  pick(bound: number): number;
}

/**
 * Takes choices from a list, each modulo its bound. After the end of the list, all choices are 0.
 */
export function listedChoices(list: readonly number[]): Choices {
  let next = 0;
  return {
    pick: (bound) => {
      const choice = list[next++] ?? 0;
      return Math.abs(Math.trunc(choice)) % bound;
    },
  };
}

/** Half of the choices are the mildest, the others are random. */
export function randomChoices(random: Random): Choices {
  return { pick: (bound) => (random.below(2) === 0 ? 0 : random.below(bound)) };
}

/** The state that keeps nothing pending. `disk` must not change afterwards. */
export function minimalState(disk: Disk): CrashState {
  const contents = new Map<number, KeptContent>();
  for (const [inodeId, file] of disk.files) {
    if (file.effects.length === 0) continue;
    const keeps = file.effects.map(() => LOST);
    const sizeBytes = naturalSize(file, keeps);
    const variant: FileVariant = { label: 'nothing', keeps, sizeBytes, fill: 0 };
    contents.set(inodeId, { label: variant.label, content: render(file, variant, disk.model) });
  }
  return new CrashState(disk, buildNamespace(disk.names, new Set()), contents);
}

/**
 * The legal state that the choices select. If all are 0, everything is kept. `disk` must not change
 * afterwards.
 */
export function chosenState(disk: Disk, choices: Choices, tear: Tear): CrashState {
  const selection = chooseNames(disk.names.pending(), disk.model, choices);
  const contents = new Map<number, KeptContent>();
  for (const [inodeId, file] of disk.files) {
    if (file.effects.length === 0) continue;
    const variant = chooseVariant(file, disk.model, choices, tear);
    contents.set(inodeId, { label: variant.label, content: render(file, variant, disk.model) });
  }
  return new CrashState(disk, buildNamespace(disk.names, selection), contents);
}

function chooseNames(
  pending: readonly NameEffect[],
  model: CrashModel,
  choices: Choices,
): NameSelection {
  if (model === 'ordered') {
    return new Set(pending.slice(0, pending.length - choices.pick(pending.length + 1)));
  }
  const kept = new Set<NameEffect>();
  for (const effect of pending) {
    if (choices.pick(2) === 1) continue;
    kept.add(effect);
    if (model === 'linked' && !keepsNameOrder(pending, kept)) kept.delete(effect);
  }
  return kept;
}

function chooseVariant(
  file: FileInode,
  model: CrashModel,
  choices: Choices,
  tear: Tear,
): FileVariant {
  const keeps = file.effects.map((effect) =>
    isOpen(effect) ? chooseKeep(effect, choices, tear) : LOST,
  );
  const sizes = legalSizes(file, keeps);
  const natural = naturalSize(file, keeps);
  const fromEnd = choices.pick(sizes.length + 1);
  const sizeBytes = fromEnd === 0 ? natural : sizes[sizes.length - fromEnd]!;
  const fill = model === 'posix' ? FILLS[choices.pick(FILLS.length)]! : 0;
  const label = `${keeps.map(describeKeep).join(' ')}, size ${sizeBytes}, fill ${fill}`;
  const variant: FileVariant = { label, keeps, sizeBytes, fill };
  if (model !== 'ordered') return variant;
  return { ...variant, sizeBytes: sizeBeforeHoles(file, variant, sizes) };
}

/** Under `ordered`, the size does not pass bytes that were not written. */
function sizeBeforeHoles(file: FileInode, variant: FileVariant, sizes: readonly number[]): number {
  const [first] = holesOf(file, variant, 'ordered').toSorted((a, b) => a.start - b.start);
  if (first === undefined) return variant.sizeBytes;
  return sizes.findLast((size) => size <= first.start) ?? sizes[0]!;
}

function chooseKeep(effect: DataEffect, choices: Choices, tear: Tear): Keep {
  const whole = keepAll(effect);
  if (effect.kind === 'truncate') return choices.pick(2) === 0 ? whole : LOST;
  switch (choices.pick(5)) {
    case 0:
      return whole;
    case 1:
      return { ranges: chooseEnd(effect, choices, tear, 'head'), sizeBytes: effect.sizeBytes };
    case 2:
      return { ranges: chooseEnd(effect, choices, tear, 'tail'), sizeBytes: effect.sizeBytes };
    case 3:
      return { ranges: chooseUnits(effect, choices, tear), sizeBytes: effect.sizeBytes };
    default:
      return LOST;
  }
}

/** Keeps the bytes before or after one edge inside the write; nothing if there is no edge. */
function chooseEnd(
  effect: WriteEffect,
  choices: Choices,
  tear: Tear,
  kept: 'head' | 'tail',
): FileRange[] {
  const cuts = tearEdges(effect, tear);
  if (cuts.length === 0) return [];
  const cut = cuts[choices.pick(cuts.length)]!;
  const start = kept === 'head' ? effect.startBytes : cut;
  return [{ start, end: kept === 'head' ? cut : effect.endBytes }];
}

function chooseUnits(effect: WriteEffect, choices: Choices, tear: Tear): FileRange[] {
  const bounds = [effect.startBytes, ...tearEdges(effect, tear), effect.endBytes];
  return bounds
    .slice(0, -1)
    .map((start, index) => ({ start, end: bounds[index + 1]! }))
    .filter(() => choices.pick(2) === 0);
}

function tearEdges(effect: WriteEffect, tear: Tear): number[] {
  return edges(effect.startBytes, effect.endBytes, tear === 'byte' ? 1 : SECTOR_BYTES);
}

function describeKeep(keep: Keep): string {
  if (keep.ranges.length === 0) return keep.sizeBytes < 0 ? 'lost' : `size ${keep.sizeBytes}`;
  return keep.ranges.map(({ start, end }) => `[${start},${end})`).join('');
}

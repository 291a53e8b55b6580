import { edges, pageEdges } from './disk/disk.ts';
import { isTrim, PAGE_BYTES, SECTOR_BYTES } from './disk/effect.ts';
import type { CrashModel, WriteEffect } from './disk/effect.ts';
import type { FileInode } from './disk/file-inode.ts';
import { FILLS, LOST, holesOf, isLegal, isOpen, keepAll, naturalSize } from './file-variant.ts';
import type { FileRange, FileVariant, Keep } from './file-variant.ts';
import type { Random } from './engine/random.ts';

/** Where a write may tear: at 512-byte sectors, or at every byte. */
export type Tear = 'sector' | 'byte';

const MAX_PREFIXES = 6;
const MAX_SINGLES = 16;
const MAX_EDGES = 3;

/**
 * E3: the states in which a crash may leave one file. The first keeps nothing, the second keeps
 * everything.
 */
export function fileVariants(
  file: FileInode,
  model: CrashModel,
  tear: Tear,
  random: Random,
): FileVariant[] {
  const list = new VariantList(file, model);
  const all = file.effects.map(keepAll);
  const open = file.effects.flatMap((effect, index) => (isOpen(effect) ? [index] : []));
  const none = replaceAt(all, open, LOST);
  list.add('nothing', none);
  list.add('everything', all);
  for (const count of spread(open.length - 1, MAX_PREFIXES)) {
    list.add(`first ${count}`, replaceAt(all, open.slice(count), LOST));
  }
  for (const nth of spread(open.length, MAX_SINGLES)) {
    list.add(`all but no. ${nth}`, replaceAt(all, [open[nth - 1]!], LOST));
  }
  const sizesOnly = all.map(({ sizeBytes }) => ({ ranges: [], sizeBytes }));
  list.addFilled('sizes without data', sizesOnly);
  const last = file.effects.findLast((effect) => isOpen(effect) && effect.kind === 'write');
  if (last?.kind === 'write') addTears(list, all, last, tear, random);
  return list.variants;
}

/**
 * The torn states of the last write: cut short, cut with its full size, head lost, middle sector
 * lost.
 */
function addTears(
  list: VariantList,
  all: readonly Keep[],
  write: WriteEffect,
  tear: Tear,
  random: Random,
): void {
  const { startBytes, endBytes } = write;
  const position = list.file.effects.indexOf(write);
  const torn = (ranges: FileRange[], sizeBytes = write.sizeBytes): Keep[] =>
    replaceAt(all, [position], { ranges, sizeBytes });
  const pages = new Set(pageEdges(startBytes, endBytes));
  for (const cut of cutsOf(write, tear, random)) {
    const head = [{ start: startBytes, end: cut }];
    // The system may have started no more than this part of a write in flight.
    const sized = pages.has(cut) || tear === 'byte' || write.endTick === Infinity;
    if (sized && !isTrim(write)) list.add(`cut at ${cut}`, torn(head, cut));
    const tearsHere = tear === 'byte' || cut % SECTOR_BYTES === 0;
    if (tearsHere) list.addFilled(`cut at ${cut}, full size`, torn(head));
  }
  const sectors = edges(startBytes, endBytes, SECTOR_BYTES);
  const first = sectors[0];
  if (first === undefined) return;
  list.addFilled('head lost', torn([{ start: first, end: endBytes }]));
  const middle = sectors.length >> 1;
  const next = sectors[middle];
  if (middle === 0 || next === undefined) return;
  const gone = [
    { start: startBytes, end: sectors[middle - 1]! },
    { start: next, end: endBytes },
  ];
  list.addFilled(`sector before ${next} lost`, torn(gone));
}

function cutsOf(write: WriteEffect, tear: Tear, random: Random): number[] {
  const { startBytes, endBytes } = write;
  if (tear === 'byte') return edges(startBytes, endBytes, 1);
  const pages = pageEdges(startBytes, endBytes);
  const sectors = edges(startBytes, endBytes, SECTOR_BYTES).filter((at) => at % PAGE_BYTES !== 0);
  const cuts = [...pick(pages), ...pick(sectors)];
  const lengthBytes = endBytes - startBytes;
  if (write.endTick === Infinity && lengthBytes > 1) {
    cuts.push(startBytes + 1, endBytes - 1, startBytes + 1 + random.below(lengthBytes - 1));
  }
  return [...new Set(cuts)];
}

class VariantList {
  readonly file: FileInode;
  readonly variants: FileVariant[] = [];
  readonly #model: CrashModel;

  constructor(file: FileInode, model: CrashModel) {
    this.file = file;
    this.#model = model;
  }

  /** Adds the variant with zeros in its holes, if the model allows it. */
  add(label: string, keeps: readonly Keep[]): void {
    const sizeBytes = naturalSize(this.file, keeps);
    this.#addLegal({ label, keeps, sizeBytes, fill: 0 });
  }

  /**
   * Adds the variant with zeros and with each kind of junk in its holes, as far as the model
   * allows.
   */
  addFilled(label: string, keeps: readonly Keep[]): void {
    const sizeBytes = naturalSize(this.file, keeps);
    const plain: FileVariant = { label, keeps, sizeBytes, fill: 0 };
    if (holesOf(this.file, plain, this.#model).length === 0) {
      this.#addLegal(plain);
      return;
    }
    for (const fill of FILLS) {
      const what = fill === 0 ? 'zeros' : `junk 0x${fill.toString(16)}`;
      this.#addLegal({ ...plain, label: `${label}, ${what}`, fill });
    }
  }

  #addLegal(variant: FileVariant): void {
    if (isLegal(this.file, variant, this.#model)) this.variants.push(variant);
  }
}

function replaceAt(keeps: readonly Keep[], indices: readonly number[], keep: Keep): Keep[] {
  const changed = [...keeps];
  for (const index of indices) changed[index] = keep;
  return changed;
}

/** At most three: the first, the middle and the last. */
function pick(cuts: readonly number[]): number[] {
  if (cuts.length <= MAX_EDGES) return [...cuts];
  return [cuts[0]!, cuts[cuts.length >> 1]!, cuts.at(-1)!];
}

/** At most `limit` of the numbers 1 to `count`, evenly spread, including both ends. */
function spread(count: number, limit: number): number[] {
  if (count <= limit) return Array.from({ length: Math.max(0, count) }, (_, index) => index + 1);
  const step = (count - 1) / (limit - 1);
  return Array.from({ length: limit }, (_, index) => 1 + Math.round(index * step));
}

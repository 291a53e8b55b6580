import { CrashState, hashNames } from './crash-state.ts';
import type { KeptContent } from './crash-state.ts';
import type { Disk } from './disk/disk.ts';
import { render } from './file-variant.ts';
import { fileVariants } from './file-variant-list.ts';
import type { Tear } from './file-variant-list.ts';
import { buildNamespace, nameSelections } from './namespace.ts';
import type { Namespace } from './namespace.ts';
import { Random } from './engine/random.ts';

export interface CrashStatesOptions {
  /** Maximum number of states. Above it, a seeded sample of this size. Default 20,000. */
  readonly cap?: number;
  /** For the sample and for random cuts. Default 1. */
  readonly seed?: number;
  /** Default `sector`. */
  readonly tear?: Tear;
}

export interface CrashStateCounts {
  /** Combinations of kept names and kept data. */
  readonly raw: number;
  /** Different trees returned so far. */
  readonly distinct: number;
  /** Combinations omitted because of the cap. */
  readonly capped: number;
}

export const DEFAULT_CAP = 20_000;

/** All states in which a crash can leave one file. The first keeps nothing. */
interface FileChoices {
  readonly inodeId: number;
  readonly kept: readonly KeptContent[];
  /** The index in `kept` that keeps everything. */
  readonly everything: number;
  readonly rawCount: number;
}

/** One namespace and its files with more than one possible state. */
interface Block {
  readonly namespace: Namespace;
  readonly namesHash: number;
  readonly choices: readonly FileChoices[];
  readonly vectorCount: number;
  /** Index of the block's first state among all states. */
  readonly firstIndex: number;
}

/**
 * The legal crash states at one moment, generated lazily. The file system may change meanwhile. The
 * first state is the minimal one. Can be iterated more than once.
 */
export class CrashStates implements Iterable<CrashState> {
  readonly #disk: Disk;
  readonly #cap: number;
  readonly #seed: number;
  readonly #blocks: readonly Block[];
  readonly #stateCount: number;
  readonly #rawCount: number;
  #distinct = 0;

  /** `disk` must not change afterwards. */
  constructor(disk: Disk, options: CrashStatesOptions = {}) {
    this.#disk = disk;
    this.#cap = options.cap ?? DEFAULT_CAP;
    this.#seed = options.seed ?? 1;
    const choices = choicesByFile(disk, options.tear ?? 'sector', this.#seed);
    const blocks = new Map<string, Block>();
    let stateCount = 0;
    let rawCount = 0;
    for (const selection of nameSelections(disk.names.pending(), disk.model)) {
      const namespace = buildNamespace(disk.names, selection);
      const known = blocks.get(namespace.key);
      const block = makeBlock(namespace, choices, known?.firstIndex ?? stateCount);
      rawCount += vectorCount(block.choices.map((choice) => choice.rawCount));
      // Of equal namespaces, the last is used: it keeps the most effects.
      blocks.set(namespace.key, block);
      if (known === undefined) stateCount += block.vectorCount;
    }
    this.#blocks = [...blocks.values()];
    this.#stateCount = stateCount;
    this.#rawCount = rawCount;
  }

  /** `distinct` counts the states of the latest iteration. */
  get counts(): CrashStateCounts {
    const capped = Math.max(0, this.#stateCount - this.#cap);
    return { raw: this.#rawCount, distinct: this.#distinct, capped };
  }

  *[Symbol.iterator](): IterableIterator<CrashState> {
    const seen = new Set<number>();
    this.#distinct = 0;
    for (const index of this.#indices()) {
      const state = this.#stateAt(index);
      if (seen.has(state.hash)) continue;
      seen.add(state.hash);
      this.#distinct++;
      yield state;
    }
  }

  *#indices(): IterableIterator<number> {
    const count = this.#stateCount;
    if (count <= this.#cap) {
      for (let index = 0; index < count; index++) yield index;
      return;
    }
    // Steps of a length coprime to the count visit no index twice.
    const random = new Random(this.#seed);
    let step = 1 + random.below(count - 1);
    while (greatestCommonDivisor(step, count) !== 1) step = (step % count) + 1;
    for (let taken = 0, index = 0; taken < this.#cap; taken++) {
      yield index;
      index = (index + step) % count;
    }
  }

  #stateAt(index: number): CrashState {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#blocks[middle]!.firstIndex <= index) low = middle;
      else high = middle - 1;
    }
    const block = this.#blocks[low]!;
    const contents = contentsAt(block.choices, index - block.firstIndex);
    return new CrashState(this.#disk, block.namespace, contents, block.namesHash);
  }
}

function choicesByFile(disk: Disk, tear: Tear, seed: number): Map<number, FileChoices> {
  const choices = new Map<number, FileChoices>();
  for (const [inodeId, file] of disk.files) {
    if (file.effects.length === 0) continue;
    const variants = fileVariants(file, disk.model, tear, new Random(seed + inodeId));
    const byHash = new Map<number, KeptContent>();
    for (const variant of variants) {
      const content = render(file, variant, disk.model);
      const hash = content.hash();
      if (!byHash.has(hash)) byHash.set(hash, { label: variant.label, content });
    }
    const kept = [...byHash.values()];
    const live = file.live.hash();
    const everything = kept.findIndex(({ content }) => content.hash() === live);
    choices.set(inodeId, {
      inodeId,
      kept,
      everything: Math.max(0, everything),
      rawCount: variants.length,
    });
  }
  return choices;
}

function makeBlock(
  namespace: Namespace,
  all: ReadonlyMap<number, FileChoices>,
  firstIndex: number,
): Block {
  const choices = namespace.files.flatMap(({ inodeId }) => all.get(inodeId) ?? []);
  return {
    namespace,
    namesHash: hashNames(namespace),
    choices,
    vectorCount: vectorCount(choices.map((choice) => choice.kept.length)),
    firstIndex,
  };
}

/**
 * E4: no file complete, all files complete, and each file varied with the others at both extremes.
 */
function vectorCount(variantCounts: readonly number[]): number {
  if (variantCounts.length === 0) return 1;
  if (variantCounts.length === 1) return variantCounts[0]!;
  return variantCounts.reduce((sum, count) => sum + 2 * count, 0);
}

function contentsAt(choices: readonly FileChoices[], index: number): Map<number, KeptContent> {
  const contents = new Map<number, KeptContent>();
  let rest = index;
  let varied = 0;
  const rounds = choices.length > 1 ? 2 : 1;
  while (varied < choices.length && rest >= rounds * choices[varied]!.kept.length) {
    rest -= rounds * choices[varied]!.kept.length;
    varied++;
  }
  const othersAtNone = rest < (choices[varied]?.kept.length ?? 0);
  for (const [position, { inodeId, kept, everything }] of choices.entries()) {
    const others = othersAtNone ? 0 : everything;
    const chosen = position === varied ? rest % kept.length : others;
    contents.set(inodeId, kept[chosen]!);
  }
  return contents;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

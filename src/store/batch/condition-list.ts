import { joinU64, splitU64, u64Halves } from '../../base/u64.ts';
import type { Demand } from './condition.ts';

/**
 * Words of a requirement: update index, row offset, kind, then a value or an index into `details`.
 */
const WORDS = 5;
const FIRST_CAPACITY = 4;

/** The key must have this value. 0: no record. */
const VALUE = 0;
/** The key's value must be lower than this value. */
const NEWER = 1;
/** The key must have one of the values in `details`. */
const VALUES = 2;
/** The key must have the data in `details`. */
const DATA = 3;

type Details = readonly bigint[] | Uint8Array;

/**
 * The requirements of one batch, in the order of its updates: 20 bytes each, plus details that do
 * not fit. The list only grows, so a result of `lend` never changes.
 */
export class ConditionList {
  #words: Uint32Array = new Uint32Array(FIRST_CAPACITY * WORDS);
  readonly #details: Details[] = [];
  #count = 0;

  add(index: number, rowOffset: number, demand: Demand): void {
    const at = this.#count * WORDS;
    if (at === this.#words.length) {
      const words = new Uint32Array(2 * at);
      words.set(this.#words);
      this.#words = words;
    }
    this.#words[at] = index;
    this.#words[at + 1] = rowOffset;
    this.#encode(at + 2, demand);
    this.#count++;
  }

  #encode(at: number, demand: Demand): void {
    switch (demand.kind) {
      case 'ifAbsent':
        return this.#encodeValue(at, VALUE, 0n);
      case 'ifNewer':
        return this.#encodeValue(at, NEWER, demand.value);
      case 'ifData':
        return this.#encodeDetails(at, DATA, demand.data);
      case 'ifValue': {
        const [only] = demand.allowed;
        if (demand.allowed.length === 1) return this.#encodeValue(at, VALUE, only!);
        return this.#encodeDetails(at, VALUES, demand.allowed);
      }
    }
  }

  #encodeValue(at: number, kind: number, value: bigint): void {
    splitU64(value, 'value');
    this.#words[at] = kind;
    this.#words[at + 1] = u64Halves[0]!;
    this.#words[at + 2] = u64Halves[1]!;
  }

  #encodeDetails(at: number, kind: number, details: Details): void {
    this.#words[at] = kind;
    this.#words[at + 1] = this.#details.push(details) - 1;
  }

  /** The current conditions. */
  lend(): LentConditions {
    return new LentConditions(this.#words, this.#details, this.#count);
  }
}

/** An immutable list of conditions. */
export class LentConditions {
  readonly count: number;
  readonly #words: Uint32Array;
  readonly #details: readonly Details[];

  constructor(words: Uint32Array, details: readonly Details[], count: number) {
    this.#words = words;
    this.#details = details;
    this.count = count;
  }

  /** Index of the update with condition `at`. */
  indexAt(at: number): number {
    return this.#words[at * WORDS]!;
  }

  /** Start of that update's row, which begins with the key. */
  rowOffsetAt(at: number): number {
    return this.#words[at * WORDS + 1]!;
  }

  demandAt(at: number): Demand {
    const place = at * WORDS + 2;
    const kind = this.#words[place]!;
    const first = this.#words[place + 1]!;
    if (kind === DATA) return { kind: 'ifData', data: this.#details[first] as Uint8Array };
    if (kind === VALUES) return { kind: 'ifValue', allowed: this.#details[first] as bigint[] };
    const value = joinU64(first, this.#words[place + 2]!);
    if (kind === NEWER) return { kind: 'ifNewer', value };
    return value === 0n ? { kind: 'ifAbsent' } : { kind: 'ifValue', allowed: [value] };
  }
}

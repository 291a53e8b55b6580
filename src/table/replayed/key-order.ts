import { compareU64 } from '../../base/u64.ts';

/** Words of a place: a key in halves, and the position of its row with {@link DELETE_BIT}. */
export const PLACE_WORDS = 3;
/** All positions are below this bit. */
export const DELETE_BIT = 0x8000_0000;

/** The location of a place: word `at` of part `part`. */
export interface OrderPlace {
  readonly part: number;
  readonly at: number;
}

/** The places of rows with distinct keys, at least one, in key order. */
export class KeyOrder {
  /** Ascending, none is empty. */
  readonly parts: readonly Uint32Array[];

  constructor(parts: readonly Uint32Array[]) {
    this.parts = parts.filter((part) => part.length > 0);
  }

  get memoryBytes(): number {
    return this.parts.reduce((sum, part) => sum + part.byteLength, 0);
  }

  /** Halves of the lowest key. There must be a row. */
  get lowest(): readonly [low: number, high: number] {
    const first = this.parts[0]!;
    return [first[0]!, first[1]!];
  }

  /** Halves of the highest key. There must be a row. */
  get highest(): readonly [low: number, high: number] {
    const last = this.parts.at(-1)!;
    const at = last.length - PLACE_WORDS;
    return [last[at]!, last[at + 1]!];
  }

  /**
   * The first place whose key compares greater than `order` with this key. With -1, an equal key
   * counts as greater. May be past a part's end.
   */
  firstAbove(low: number, high: number, order: -1 | 0): OrderPlace {
    const { parts } = this;
    let part = 0;
    while (part < parts.length - 1 && compareAt(parts[part + 1]!, 0, low, high) <= order) part++;
    const places = parts[part]!;
    let from = 0;
    let to = places.length / PLACE_WORDS;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (compareAt(places, PLACE_WORDS * middle, low, high) <= order) from = middle + 1;
      else to = middle;
    }
    return { part, at: PLACE_WORDS * from };
  }
}

function compareAt(places: Uint32Array, at: number, low: number, high: number): number {
  return compareU64(places[at]!, places[at + 1]!, low, high);
}

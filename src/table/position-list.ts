const SEGMENT_BITS = 12;
const SEGMENT_ENTRIES: number = 2 ** SEGMENT_BITS;
const INDEX_MASK: number = SEGMENT_ENTRIES - 1;

/** An append-only list of u32. Grows by segments, so that no append copies what is there. */
export class PositionList {
  readonly #segments: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get memoryBytes(): number {
    return this.#segments.length * SEGMENT_ENTRIES * 4;
  }

  /** The entry at `index`, which must be there. */
  at(index: number): number {
    return this.#segments[index >>> SEGMENT_BITS]![index & INDEX_MASK]!;
  }

  append(position: number): void {
    const offset = this.#length & INDEX_MASK;
    if (offset === 0) this.#segments.push(new Uint32Array(SEGMENT_ENTRIES));
    this.#segments[this.#length >>> SEGMENT_BITS]![offset] = position;
    this.#length++;
  }
}

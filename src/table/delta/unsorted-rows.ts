const FIRST_CAPACITY = 64;
/** Up to this number, a loop is cheaper than `set` with subarrays. */
const FEW_ROWS = 64;

/**
 * Keys and positions of rows in commit order. They are copied when the rows are indexed, so that
 * sorting does not access the rows again.
 */
export class UnsortedRows {
  low: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  high: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  positions: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  count = 0;

  get memoryBytes(): number {
    return 3 * 4 * this.positions.length;
  }

  append(low: number, high: number, position: number): void {
    const { count } = this;
    if (count === this.positions.length) this.#grow(2 * count);
    this.low[count] = low;
    this.high[count] = high;
    this.positions[count] = position;
    this.count = count + 1;
  }

  /** Appends the rows [from, to) of another list. */
  appendFrom(other: UnsortedRows, from: number, to: number): void {
    const { count } = this;
    const end = count + to - from;
    let capacity = this.positions.length;
    while (capacity < end) capacity *= 2;
    if (capacity > this.positions.length) this.#grow(capacity);
    if (to - from < FEW_ROWS) {
      for (let i = from, at = count; i < to; i++, at++) {
        this.low[at] = other.low[i]!;
        this.high[at] = other.high[i]!;
        this.positions[at] = other.positions[i]!;
      }
      this.count = end;
      return;
    }
    this.low.set(other.low.subarray(from, to), count);
    this.high.set(other.high.subarray(from, to), count);
    this.positions.set(other.positions.subarray(from, to), count);
    this.count = end;
  }

  /** Whether no key is below the previous one. */
  ascends(): boolean {
    const { low, high, count } = this;
    for (let i = 1; i < count; i++) {
      const before = high[i - 1]!;
      const own = high[i]!;
      if (own < before || (own === before && low[i]! < low[i - 1]!)) return false;
    }
    return true;
  }

  /** Position of every `step`-th row, starting with the first. */
  everyPosition(step: number): Uint32Array {
    const chosen = new Uint32Array(Math.ceil(this.count / step));
    for (let i = 0; i < chosen.length; i++) chosen[i] = this.positions[i * step]!;
    return chosen;
  }

  #grow(capacity: number): void {
    this.low = grown(this.low, capacity);
    this.high = grown(this.high, capacity);
    this.positions = grown(this.positions, capacity);
  }
}

function grown(column: Uint32Array, capacity: number): Uint32Array {
  const longer = new Uint32Array(capacity);
  longer.set(column);
  return longer;
}

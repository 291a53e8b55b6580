import { assert } from '../../base/assert.ts';
import type { LogPlace } from '../log/log-chain.ts';

/**
 * The places of group ends since the place of the position file, to find the place of a sequence.
 * Each sequence has one place: the last.
 */
export class Marks {
  #places: LogPlace[];

  constructor(first: LogPlace) {
    this.#places = [first];
  }

  get count(): number {
    return this.#places.length;
  }

  add(place: LogPlace): void {
    const last = this.#places.at(-1)!;
    assert(place.position >= last.position, 'places are added in order');
    if (last.sequence === place.sequence) this.#places[this.#places.length - 1] = place;
    else this.#places.push(place);
  }

  /** The last place whose sequence is at most this one. */
  at(sequence: bigint): LogPlace {
    let low = 0;
    let high = this.#places.length - 1;
    assert(this.#places[0]!.sequence <= sequence, 'a place that was forgotten is not asked for');
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#places[middle]!.sequence <= sequence) low = middle;
      else high = middle - 1;
    }
    return this.#places[low]!;
  }

  /** Drops the places before this one. */
  forgetBefore(place: LogPlace): void {
    this.#places = this.#places.filter(({ sequence }) => sequence >= place.sequence);
  }
}

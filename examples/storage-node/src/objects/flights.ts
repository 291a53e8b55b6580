interface Flight {
  count: number;
  published: number;
}

/**
 * Changes in flight, by the home of the name's hash. A record gets its sequence before it is
 * written, and two of one name may be published in reverse order. Then the one with the lower
 * sequence counts as overwritten at once. The metadata therefore shows the highest sequence in the
 * volumes, which is what a rebuild of the metadata uses.
 */
export class Flights {
  readonly #flights = new Map<bigint, Flight>();

  begin(home: bigint): void {
    const flight = this.#flights.get(home);
    if (flight === undefined) this.#flights.set(home, { count: 1, published: 0 });
    else flight.count++;
  }

  end(home: bigint): void {
    const flight = this.#flights.get(home)!;
    flight.count--;
    if (flight.count === 0) this.#flights.delete(home);
  }

  /** True if a change with a higher sequence was published since this one started. */
  isOvertaken(home: bigint, sequence: number): boolean {
    return (this.#flights.get(home)?.published ?? 0) > sequence;
  }

  note(home: bigint, sequence: number): void {
    const flight = this.#flights.get(home);
    if (flight !== undefined) flight.published = Math.max(flight.published, sequence);
  }
}

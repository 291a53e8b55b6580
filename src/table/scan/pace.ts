/** Divides a long read into slices, between which the event loop runs. */
export interface Pace {
  /** Whether the slice is over. */
  readonly isOver: boolean;
  /** Throws if reading must stop. */
  check(): void;
  /** Yields to the event loop. Rejects with the error of `check`. */
  next(): Promise<void>;
}

/** The pace of an asynchronous iteration. */
export interface Slicing {
  readonly begin: () => Pace;
  /** Prepares the walk, in bounded time. Returns false if there is nothing left to prepare. */
  readonly prepare: () => boolean;
}

/** A pace with a single slice. */
export const UNSLICED: Slicing = {
  begin: () => ({ isOver: false, check: () => undefined, next: () => Promise.resolve() }),
  prepare: () => false,
};

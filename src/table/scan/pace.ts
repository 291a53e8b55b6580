/** Cuts a long read into slices between which the event loop turns. */
export interface Pace {
  /** Whether the slice is over. */
  readonly isOver: boolean;
  /** Throws when reading must end. */
  check(): void;
  /** Lets the event loop turn. Rejects as `check` throws. */
  next(): Promise<void>;
}

/** How an asynchronous iteration goes on. */
export interface Slicing {
  readonly begin: () => Pace;
  /** Prepares the walk by one bounded step; false when there is nothing left to prepare. */
  readonly prepare: () => boolean;
}

/** One slice for all. */
export const UNSLICED: Slicing = {
  begin: () => ({ isOver: false, check: () => undefined, next: () => Promise.resolve() }),
  prepare: () => false,
};

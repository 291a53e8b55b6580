/** An operation on one key, with the times between which it took effect. */
export interface RegisterOperation {
  readonly calledAt: number;
  /** Infinity: it may take effect at any time later. */
  readonly returnedAt: number;
  /** May never take effect. */
  readonly isOptional: boolean;
  /** The value that it must find; undefined: any. */
  readonly finds: bigint | undefined;
  /** The value that it must not find: a condition that failed. */
  readonly findsNot: bigint | undefined;
  /** The value that it leaves; undefined: what it found. */
  readonly leaves: bigint | undefined;
}

/**
 * Whether there is an order of the operations in which each finds what it says, and which keeps
 * the order of those that did not overlap: the search of Wing and Gong, with Lowe's memory of the
 * states that were seen. The key begins with value 0.
 */
export function isLinearizable(operations: readonly RegisterOperation[]): boolean {
  const seen = new Set<string>();
  const taken = operations.map(() => false);
  const search = (value: bigint, mandatory: number): boolean => {
    if (mandatory === 0) return true;
    const state = `${taken.map(Number).join('')} ${value}`;
    if (seen.has(state)) return false;
    seen.add(state);
    let firstReturn = Infinity;
    for (const [i, { returnedAt }] of operations.entries()) {
      if (!taken[i] && returnedAt < firstReturn) firstReturn = returnedAt;
    }
    for (const [i, operation] of operations.entries()) {
      if (taken[i] || operation.calledAt > firstReturn) continue;
      if (operation.finds !== undefined && operation.finds !== value) continue;
      if (operation.findsNot !== undefined && operation.findsNot === value) continue;
      taken[i] = true;
      const left = operation.isOptional ? mandatory : mandatory - 1;
      if (search(operation.leaves ?? value, left)) return true;
      taken[i] = false;
    }
    return false;
  };
  return search(0n, operations.filter(({ isOptional }) => !isOptional).length);
}

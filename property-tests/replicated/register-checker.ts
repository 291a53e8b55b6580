/** An operation on one key, and the times between which it took effect. */
export interface RegisterOperation {
  readonly calledAt: number;
  /** Infinity: it may take effect at any later time. */
  readonly returnedAt: number;
  /** True if it may never take effect. */
  readonly isOptional: boolean;
  /** The value that it must find; undefined for any. */
  readonly finds: bigint | undefined;
  /** The value that it must not find, because its condition failed. */
  readonly findsNot: bigint | undefined;
  /** The value that it leaves; undefined if it changes nothing. */
  readonly leaves: bigint | undefined;
}

/**
 * True if the operations have an order in which each finds what it says, and which keeps the order
 * of operations that did not overlap. This is the search of Wing and Gong, with Lowe's cache of
 * visited states. The key starts with value 0.
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

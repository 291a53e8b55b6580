import type { TableRecord } from '../../table/layer/table-record.ts';

type Entry = [key: bigint, record: TableRecord];

/**
 * Merges iterators over disjoint keys, each in key order, into one in key order. Reads one entry
 * ahead from each iterator.
 */
export function* mergeEntries(
  sources: readonly IterableIterator<Entry>[],
  reverse: boolean,
  limit: number,
): Generator<Entry, void, void> {
  const heads = sources.map((source) => source.next());
  try {
    for (let count = 0; count < limit; count++) {
      let first = -1;
      for (const [i, head] of heads.entries()) {
        if (head.done === true) continue;
        const best = heads[first];
        const isFirst =
          best === undefined ||
          best.done === true ||
          (reverse ? head.value[0] > best.value[0] : head.value[0] < best.value[0]);
        if (isFirst) first = i;
      }
      const head = heads[first];
      if (head === undefined || head.done === true) return;
      yield head.value;
      heads[first] = sources[first]!.next();
    }
  } finally {
    for (const source of sources) source.return?.();
  }
}

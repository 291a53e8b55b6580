/**
 * Memory that V8 does not count as external. When counted memory has grown by 64 MiB, V8 starts a
 * full GC. Until that GC ends, each further allocation runs a marking step of 5 to 10 ms. So the
 * index and the order of rows are uncounted, and so are the deletes that a deleted range becomes.
 * Uncounted garbage waits for the GCs that counted allocations cause. That bounds it: rows of puts
 * are counted, and for each of their bytes at most five uncounted bytes are allocated
 * (`test/store/uncounted-memory.test.ts`).
 */
export function uncountedWords(count: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(4 * count));
}

/** Constructors that allocate memory in bulk. */
const NAMES = [
  'ArrayBuffer',
  'Uint8Array',
  'Uint32Array',
  'BigUint64Array',
  'Float64Array',
] as const;

type Constructor = new (...parameters: never[]) => object;

/** No decoder may request more at once. The request fails before the machine runs out of memory. */
const HARD_LIMIT_BYTES = 512 * 1024 * 1024;

/**
 * Counts the bytes of typed arrays and buffers when they are requested. Garbage collection between
 * requests does not hide them, and impossible lengths are counted, too.
 */
export class AllocationMeter {
  /** Sum of all allocations since the last reset, in bytes. */
  totalBytes = 0;
  largestBytes = 0;
  readonly #originals = new Map<string, unknown>();

  install(): void {
    const globals = globalThis as unknown as Record<string, Constructor>;
    for (const name of NAMES) {
      const original = globals[name]!;
      this.#originals.set(name, original);
      const unitBytes = (original as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
      globals[name] = new Proxy(original, {
        construct: (target, parameters: unknown[], newTarget) => {
          this.#count(parameters[0], unitBytes);
          return Reflect.construct(target, parameters, newTarget) as object;
        },
      });
    }
  }

  uninstall(): void {
    const globals = globalThis as unknown as Record<string, unknown>;
    for (const [name, original] of this.#originals) globals[name] = original;
    this.#originals.clear();
  }

  reset(): void {
    this.totalBytes = 0;
    this.largestBytes = 0;
  }

  #count(first: unknown, unitBytes: number): void {
    // A view of a buffer allocates nothing; anything else with a length is copied.
    if (first instanceof ArrayBuffer || first instanceof SharedArrayBuffer) return;
    const count = typeof first === 'number' ? first : lengthOf(first);
    const bytes = count * unitBytes;
    this.totalBytes += bytes;
    this.largestBytes = Math.max(this.largestBytes, bytes);
    if (bytes > HARD_LIMIT_BYTES) throw new RangeError(`an allocation of ${bytes} bytes`);
  }
}

function lengthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || !('length' in value)) return 0;
  return typeof value.length === 'number' ? value.length : 0;
}

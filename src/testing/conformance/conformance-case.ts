import { clearTimeout, setTimeout } from '../../base/timers.ts';

/**
 * One rule that an adapter must keep, as a test without a test runner. `run` rejects with an
 * `AssertionError` that says what is wrong.
 */
export interface ConformanceCase {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** A case that has no subject yet. */
export interface CaseOf<T> {
  readonly name: string;
  readonly check: (subject: T) => Promise<void>;
}

const MAX_WAIT_MS = 30_000;

/** Rejects if `promise` does not settle: a case must fail, not hang. */
export async function settled<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: nothing happened for ${MAX_WAIT_MS / 1000} s`)),
      MAX_WAIT_MS,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

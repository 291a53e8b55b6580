/** Work that is divided into steps of a fraction of a millisecond. */
export type Steps<T> = Generator<void, T, undefined>;

/** Runs all steps at once. */
export function finishSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Runs all steps. Calls `pause` after each, and waits if it says so. */
export async function finishInSlices<T>(
  steps: Steps<T>,
  pause: (() => Promise<void> | undefined) | undefined,
): Promise<T> {
  if (pause === undefined) return finishSteps(steps);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    const pausing = pause();
    if (pausing !== undefined) await pausing;
  }
}

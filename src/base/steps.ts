/** Work that is cut into steps of a fraction of a millisecond, and its result. */
export type Steps<T> = Generator<void, T, undefined>;

/** Does all steps at once. */
export function finishSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Runs all steps and yields after each if other work waits. */
export async function finishInSlices<T>(
  steps: Steps<T>,
  pause: (() => Promise<void>) | undefined,
): Promise<T> {
  if (pause === undefined) return finishSteps(steps);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await pause();
  }
}

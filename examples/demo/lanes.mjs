// @ts-check

/**
 * Processes `queue` with up to `inFlight` concurrent jobs, until it is empty or `isOver` is true;
 * running jobs are awaited. The first failure also ends it, and it rejects with that error.
 * @template T
 * @param {T[]} queue taken from its end
 * @param {number} inFlight
 * @param {(job: T) => Promise<void>} run
 * @param {() => boolean} isOver
 */
export async function runLanes(queue, inFlight, run, isOver = () => false) {
  /** @type {unknown[]} */
  const failures = [];
  const lane = async () => {
    while (failures.length === 0 && !isOver()) {
      const job = queue.pop();
      if (job === undefined) return;
      await run(job).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  if (failures.length > 0) throw failures[0];
}

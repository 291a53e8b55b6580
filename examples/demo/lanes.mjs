// @ts-check

/**
 * Works off `queue` with up to `inFlight` jobs at a time, until it is empty or `isOver` says so;
 * the jobs under way are awaited. The first failure ends it as well, and is what it rejects with.
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

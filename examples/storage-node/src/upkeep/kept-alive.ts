/** The longest interval of a timer. */
const LONG_MS = 2 ** 31 - 1;

/**
 * Keeps the process alive until the work has ended. The pauses of upkeep do not, because it also
 * runs in the background: a program that only awaits it would end in the middle.
 */
export async function keptAlive<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, LONG_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

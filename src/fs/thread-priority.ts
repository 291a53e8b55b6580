import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** The thread gets a tenth of a core that a thread of normal priority also wants. */
const LOW_NICE = 10;

/** The scheduling priority of a thread. */
export type ThreadPriority = 'normal' | 'low';

/**
 * Lowers the priority of the calling thread, on systems with one priority per thread and known
 * thread ids (Linux). Never fails. Cannot be undone: raising a priority is a privilege.
 */
export function lowerPriority(): void {
  const threadId = idOfThread();
  if (threadId === undefined) return;
  try {
    // A process with a lower priority keeps it.
    if (getPriority(threadId) < LOW_NICE) setPriority(threadId, LOW_NICE);
  } catch {
    // Refused: the priority stays unchanged.
  }
}

/**
 * The id of this thread. Undefined where it is unknown, and for the first thread, whose id is the
 * process's.
 */
function idOfThread(): number | undefined {
  try {
    const [processId, , threadId] = readlinkSync('/proc/thread-self').split('/').map(Number);
    // A different number is of another namespace, where ids mean other processes.
    const isOurs = processId === process.pid && Number.isInteger(threadId);
    return isOurs && threadId !== process.pid ? threadId : undefined;
  } catch {
    return undefined;
  }
}

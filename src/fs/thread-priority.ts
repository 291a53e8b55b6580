import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** Where one thread of usual priority wants the same core, a tenth of it. */
const LOW_NICE = 10;

/** How much of a busy machine a thread gets. */
export type ThreadPriority = 'normal' | 'low';

/**
 * Puts the calling thread behind all others, where the system ranks threads one by one and says
 * which this is (Linux). Never fails. It cannot be taken back: raising a priority is a privilege.
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
 * The thread's own id; undefined where it cannot be told, and for the first thread, whose id is the
 * process's.
 */
function idOfThread(): number | undefined {
  try {
    const [processId, , threadId] = readlinkSync('/proc/thread-self').split('/').map(Number);
    // Another number is that of another namespace, where ids mean other processes.
    const isOurs = processId === process.pid && Number.isInteger(threadId);
    return isOurs && threadId !== process.pid ? threadId : undefined;
  } catch {
    return undefined;
  }
}

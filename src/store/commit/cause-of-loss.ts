import { FencedError, type StorePoisonedError } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';

/**
 * Why files of ours are gone: the fence knows if another host has had the store meanwhile, and then its word counts.
 * Waits through a pause.
 */
export async function causeOfLoss(
  lock: DirectoryLock,
  lost: StorePoisonedError,
): Promise<StorePoisonedError> {
  try {
    await lock.whenHeld();
    return lost;
  } catch (error) {
    if (error instanceof FencedError) return error;
    throw error;
  }
}

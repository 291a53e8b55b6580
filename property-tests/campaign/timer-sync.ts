import type { MetadataStore } from '../../src/index.ts';
import type { Clock } from './clock.ts';
import { Violation } from './violation.ts';

/** Rounds of the event loop after which a due sync has started and ended. */
const SYNC_ROUNDS = 100;

/**
 * Resolves when nothing waits for a sync by the timer, which has rung.
 *
 * @throws Violation I5 if the timer does not sync
 */
export async function untilSynced(store: MetadataStore, clock: Clock): Promise<void> {
  for (let round = 0; round < SYNC_ROUNDS; round++) {
    if (store.stats().logs.unsyncedBytes === 0) return;
    // The timer may not have run before: it starts after an acknowledgement.
    clock.ring();
    await new Promise((go) => setImmediate(go));
  }
  if (store.stats().logs.unsyncedBytes === 0) return;
  throw new Violation('I5', 'the timer rings, and nothing is synced');
}

import { WriteBatch, type MetadataStore } from '../../src/index.ts';
import { PROBE_KEY } from './state.ts';
import type { SimulatedMachine } from './simulated-machine.ts';
import { Violation } from './violation.ts';

/** Far more than a store of this size needs turns for what runs beside. */
const MOST_TRIES = 5_000;

/**
 * Callers that repeat a refused batch at once, until `beside` ends. They must leave turns to it.
 *
 * @throws Violation I5 if they keep it from ending
 */
export async function repeatRefused(
  store: MetadataStore,
  simulated: SimulatedMachine,
  callers: number,
  beside: Promise<void>,
): Promise<void> {
  const state = { isOver: false };
  const end = (): void => void (state.isOver = true);
  beside.then(end, end);
  const repeat = async (): Promise<void> => {
    const batch = new WriteBatch().delete(PROBE_KEY, { ifValue: 1 });
    for (let tries = 1; !state.isOver; tries++) {
      await store.insertBatch(batch).catch(() => undefined);
      if (tries === MOST_TRIES && !state.isOver)
        throw new Violation('I5', 'callers that repeat refused batches keep a merge from ending');
    }
  };
  const all = Promise.all(Array.from({ length: callers }, repeat));
  await simulated.bounded(all, 'callers that repeat refused batches');
}

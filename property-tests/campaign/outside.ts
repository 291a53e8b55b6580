import { StoreError, type MetadataStore } from '../../src/index.ts';
import type { StoreFactory } from './store-factory.ts';
import type { Demand } from './model.ts';
import type { SimulatedMachine } from './simulated-machine.ts';
import { describeState, digestOf, readState } from './state.ts';
import { Violation } from './violation.ts';

const ELSEWHERE = '/elsewhere';

/**
 * Pauses the process for longer than its lease. `rings`: the timer notices it first, not the next
 * write. No other host uses the store meanwhile.
 */
export function pause({ machine }: SimulatedMachine, directory: string, rings: boolean): void {
  const lease = `${directory}/lodestore.lease`;
  machine.leases.expire(lease);
  if (rings) machine.leases.wake(lease);
}

/**
 * Runs `work` while the store's directory is moved away and another one has its path. Then moves it
 * back. Crashes in between are not checked, because the store could be in two places.
 * @throws Violation I5 if a name is created in the other directory
 */
export async function moveAway(
  simulated: SimulatedMachine,
  directory: string,
  work: () => Promise<void>,
): Promise<void> {
  const { machine } = simulated;
  await simulated.quietly(async () => {
    await machine.rename(directory, ELSEWHERE);
    await machine.makeDirectory(directory);
  }, 'none');
  await simulated.quietly(work, 'none');
  await simulated.quietly(async () => {
    const names = (await machine.readDirectory(directory)).map(({ name }) => name);
    if (names.length > 0) {
      throw new Violation('I5', `${names.join(', ')} made in a directory that is not the store's`);
    }
    await machine.removeDirectory(directory);
    await machine.rename(ELSEWHERE, directory);
    await machine.syncDirectory('/');
  }, 'none');
}

/**
 * Runs `work` while the log `number`, which is written, has another name. A process that stops
 * meanwhile leaves nothing that an open could find, so crashes in between are not checked.
 */
export async function moveLogAway(
  simulated: SimulatedMachine,
  directory: string,
  number: number,
  work: () => Promise<void>,
): Promise<void> {
  const { machine } = simulated;
  const path = `${directory}/log_${number.toString(16).padStart(16, '0')}`;
  const aside = `${path}.aside`;
  await simulated.quietly(() => machine.rename(path, aside), 'none');
  await simulated.quietly(work, 'none');
  await simulated.quietly(async () => {
    await machine.rename(aside, path);
    await machine.syncDirectory(directory);
  }, 'none');
}

/**
 * Lets all calls in flight end, such as the write of a group whose rows are being indexed. Then a
 * change feed of the store must not be ahead of what its reads show.
 */
export async function letCallsEnd(
  simulated: SimulatedMachine,
  store: () => MetadataStore | undefined,
): Promise<void> {
  await new Promise((go) => setImmediate(go));
  simulated.note(() => {
    const stats = store()?.stats();
    if (stats === undefined || stats.lastSyncedSequence <= stats.lastSequence) return;
    const { lastSyncedSequence, lastSequence } = stats;
    throw new Violation(
      'I10',
      `a change feed is at batch ${lastSyncedSequence} where reads show batch ${lastSequence}`,
    );
  });
}

/**
 * Another process opens the store read-only beside the writer. It must see a state that is legal
 * after a crash now, with everything durable. It may only be refused because the directory keeps
 * changing.
 */
export async function readBeside(
  factory: StoreFactory,
  simulated: SimulatedMachine,
  demand: Demand,
): Promise<void> {
  const opening = factory.read(simulated.machine).catch((error: unknown) => error as Error);
  const reader = await simulated.bounded(opening, 'a read-only open');
  if (reader instanceof Error) {
    const isBusy =
      reader instanceof StoreError && reader.message.includes('changed during each of');
    if (isBusy) return;
    throw new Violation('I5', `a read-only open is refused: ${String(reader)}`, reader);
  }
  const found = readState(reader);
  await simulated.bounded(reader.close(), 'the close of a reader');
  if (demand.has(digestOf(found))) return;
  throw new Violation('I10', `a reader beside the writer sees ${describeState(found)}`);
}

/**
 * A short run of a store in which a system call fails or is the last one: batches, some concurrent,
 * a merge, batches, close. Prints one line each: `open`, `refused <code>`, `ack <batch>`, `rejected
 * <batch> <outcome> <code>`, `merge <code|ok>`, `close <code|ok>`, `broken <what>`.
 *
 * Arguments: directory, first batch, bytes of data per record.
 */
import { writeSync } from 'node:fs';
import { MetadataStore, StoreError } from '../../src/index.ts';
import { faultBatch } from './fault-batches.ts';

const [directory = '', first = '0', lengthBytes = '50'] = process.argv.slice(2);
const say = (line: string): unknown => writeSync(1, `${line}\n`);
const codeOf = (error: unknown): string =>
  error instanceof StoreError ? error.code : `no StoreError but ${String(error)}`;

process.on('uncaughtException', (error) => say(`broken uncaught ${error.stack}`));

async function write(store: MetadataStore, number: number): Promise<void> {
  try {
    await store.insertBatch(faultBatch(number, Number(lengthBytes)));
    say(`ack ${number}`);
  } catch (error) {
    const outcome = error instanceof StoreError ? error.outcome : undefined;
    if (outcome === undefined) say(`broken batch ${number} without an outcome: ${String(error)}`);
    say(`rejected ${number} ${outcome} ${codeOf(error)}`);
  }
}

async function live(store: MetadataStore): Promise<void> {
  let next = Number(first);
  const burst = (count: number): Promise<unknown> =>
    Promise.all(Array.from({ length: count }, () => write(store, next++)));
  for (let i = 0; i < 4; i++) await burst(1);
  await burst(4);
  const merge = store.merge().then(() => 'ok', codeOf);
  await burst(3);
  say(`merge ${await merge}`);
  for (let i = 0; i < 4; i++) await burst(1);
  for (const [key, { value }] of store.entries()) if (value === 0n) say(`broken key ${key}`);
  say(`close ${await store.close().then(() => 'ok', codeOf)}`);
}

const store = await MetadataStore.open(directory, { mergeBytes: 2 ** 40 }).catch(
  (error: unknown) => {
    say(`refused ${codeOf(error)}`);
  },
);
if (store !== undefined) {
  say('open');
  await live(store);
}

/**
 * A node of a replicated store in a process of its own, for the row "replicated". As `primary` it
 * waits until it is elected and writes one batch after the other, until it is killed. As `replica`
 * it notes when which sequence number is visible, and says so at its end.
 */
import { performance } from 'node:perf_hooks';
import { connectEngine } from './engines.mjs';

const { role, engine, log, directory } = JSON.parse(process.argv[2] ?? '');
const { ReplicatedStore } = await import('../../dist/replicated/index.js');
const connected = await connectEngine(engine);

/** Milliseconds since 1970, as all processes of this machine see them. */
const nowMs = () => performance.timeOrigin + performance.now();

async function writeUntilKilled() {
  const store = await ReplicatedStore.open(directory, {
    log: await connected.log(log),
    elector: connected.elector(log),
    address: 'first',
  });
  while (store.role !== 'primary') await new Promise((resolve) => setTimeout(resolve, 10));
  for (let key = 1n; ; key++) {
    await store.put(key, key);
    if (key === 10n) process.send?.('writing');
  }
}

async function noteWhatIsSeen() {
  const store = await ReplicatedStore.open(directory, { log: await connected.log(log) });
  const ended = new AbortController();
  process.once('message', () => ended.abort());
  process.send?.('following');
  /** @type {[sequence: number, atMs: number][]} */
  const seen = [];
  while (!ended.signal.aborted) {
    const { position } = store;
    try {
      await store.reached(position + 1n, { signal: ended.signal });
    } catch {
      break;
    }
    seen.push([Number(store.stats().lastSequence), nowMs()]);
  }
  process.send?.({ seen }, () => process.exit(0));
}

await (role === 'primary' ? writeUntilKilled() : noteWhatIsSeen());

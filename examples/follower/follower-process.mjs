// @ts-check
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Follower } from './follower.mjs';

/**
 * Arguments: directory, the leader's port. On a message with a sequence number, it reports its
 * contents once it has reached that number.
 */
const [directory = '', port = ''] = process.argv.slice(2);

const follower = new Follower(directory, Number(port), (line) => process.send?.({ log: line }));
process.on('disconnect', () => process.exit());
const running = follower.run();
process.send?.({ ready: true });

const [message] = await once(process, 'message');
const goal = BigInt(String(message));
while ((follower.store?.stats().lastSequence ?? -1n) < goal) {
  await Promise.race([sleep(20), running]);
}
const { store } = follower;
if (store === undefined) throw new Error('there is a store once it has come so far');
const { hash, records, lastSequence } = await store.contentHash();
process.send?.({ hash, records, lastSequence: `${lastSequence}` });
follower.stop();
await running;

// @ts-check
import { setTimeout as sleep } from 'node:timers/promises';
import { Follower } from './follower.mjs';

/** Arguments: directory, the leader's port. Told a sequence number, it says what it holds when it has got there. */
const [directory = '', port = ''] = process.argv.slice(2);

const follower = new Follower(directory, Number(port), (line) => process.send?.({ log: line }));
/** @type {bigint | undefined} */
let goal;
process.on('message', (message) => {
  goal = BigInt(String(message));
});
process.on('disconnect', () => process.exit());
const running = follower.run();
process.send?.({ ready: true });

while (goal === undefined || (follower.store?.stats().lastSequence ?? -1n) < goal) {
  await Promise.race([sleep(20), running]);
}
const { store } = follower;
if (store === undefined) throw new Error('there is a store once it has come so far');
const { hash, records, lastSequence } = await store.contentHash();
process.send?.({ hash, records, lastSequence: `${lastSequence}` });
follower.stop();
await running;

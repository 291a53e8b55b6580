/**
 * Measures how long after its acknowledgement a batch is visible in a follower in another process:
 * the median, the 99th percentile and the maximum of 300 batches, written at random moments. `node
 * bench/follow-delay.mjs [everyMs]`
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { MetadataStore } from 'lodestore';

const BATCHES = 300;
const nowMs = () => performance.timeOrigin + performance.now();

if (process.send === undefined) {
  const everyMs = Number(process.argv[2] ?? 100);
  const directory = await mkdtemp(join(tmpdir(), 'lodestore-follow-'));
  const writer = await MetadataStore.open(directory);
  const child = fork(fileURLToPath(import.meta.url), [directory, String(everyMs)]);
  await new Promise((resolve) => child.once('message', resolve));
  const acknowledged = [];
  for (let key = 1; key <= BATCHES; key++) {
    await pause(Math.random() * 60);
    await writer.put(key, key);
    acknowledged.push(nowMs());
  }
  const seen = await new Promise((resolve) => {
    child.once('message', resolve);
    child.send('end');
  });
  const delays = acknowledged.map((ms, i) => seen[i] - ms).toSorted((a, b) => a - b);
  const at = (part) => delays[Math.floor(part * (delays.length - 1))].toFixed(0);
  const load = loadavg()[0].toFixed(1);
  console.log(
    `everyMs ${everyMs}: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms; load ${load}`,
  );
  await writer.close();
  await rm(directory, { recursive: true });
} else {
  const [directory, everyMs] = process.argv.slice(2);
  const follower = await MetadataStore.open(directory, {
    readOnly: true,
    follow: { everyMs: Number(everyMs) },
  });
  const seen = [];
  const look = setInterval(() => {
    while (seen.length < follower.size) seen.push(nowMs());
  }, 1);
  const finish = async () => {
    while (seen.length < BATCHES) await pause(5);
    clearInterval(look);
    await new Promise((resolve) => process.send(seen, resolve));
    await follower.close();
    process.disconnect();
  };
  process.on('message', () => void finish());
  process.send('open');
}

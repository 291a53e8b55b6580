// The cost of a durable write by routes that leave the event loop free: overwrites of reserved
// space with O_DSYNC, 2,098 bytes each, one after another, widened to whole blocks as the store
// does.
//
// node bench/bounds/commit-route.mjs [directory]
//
// pool: fs.write through the thread pool. thread: a separate thread that gets the write through
// shared memory and answers by a message, by Atomics.waitAsync, or not at all, while the event loop
// polls. "spin" is how long that thread polls for the next write before it sleeps. "busy" is what
// the event loop does meanwhile.
import {
  closeSync,
  constants,
  fsyncSync,
  mkdtempSync,
  openSync,
  rmSync,
  write,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const RESERVED_BYTES = 32 * 1024 * 1024;
const GROUP_BYTES = 2_098;
const BLOCK_BYTES = 4_096;
const MEASURE_MS = 1_500;
const ROUNDS = 3;

// Words of the shared memory.
const REQUEST = 0;
const LENGTH = 1;
const OFFSET = 2;
const SLEEPS = 3;
const DONE = 4;

function serveWrites({ control, data, descriptor, spinMs, answer }) {
  const words = new Int32Array(control);
  const bytes = new Uint8Array(data);
  for (let seen = 0; ;) {
    const sleepAt = performance.now() + spinMs;
    while (Atomics.load(words, REQUEST) === seen) {
      if (performance.now() < sleepAt) continue;
      Atomics.store(words, SLEEPS, 1);
      Atomics.wait(words, REQUEST, seen);
      Atomics.store(words, SLEEPS, 0);
    }
    seen = Atomics.load(words, REQUEST);
    if (seen < 0) return;
    writeSync(descriptor, bytes, 0, Atomics.load(words, LENGTH), Atomics.load(words, OFFSET));
    Atomics.store(words, DONE, seen);
    if (answer === 'message') parentPort.postMessage(0, []);
    else if (answer === 'waitAsync') Atomics.notify(words, DONE);
  }
}

/** @type {(descriptor: number, data: SharedArrayBuffer) => any} */
function poolRoute(descriptor, data) {
  const bytes = new Uint8Array(data);
  return {
    write: (length, offset) =>
      new Promise((resolve, reject) => {
        write(descriptor, bytes, 0, length, offset, (error) => (error ? reject(error) : resolve()));
      }),
    end: async () => undefined,
  };
}

async function threadRoute(descriptor, data, answer, spinMs) {
  const control = new SharedArrayBuffer(64);
  const words = new Int32Array(control);
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { control, data, descriptor, spinMs, answer },
  });
  await new Promise((resolve) => worker.once('online', resolve));
  let answered = () => undefined;
  worker.on('message', () => answered());
  let request = 0;
  const submit = (value) => {
    Atomics.store(words, REQUEST, value);
    if (Atomics.load(words, SLEEPS) === 1) Atomics.notify(words, REQUEST);
  };
  const wait = {
    message: () => new Promise((resolve) => (answered = resolve)),
    waitAsync: () => {
      const { async, value } = Atomics.waitAsync(words, DONE, request - 1);
      return async ? value : Promise.resolve();
    },
    poll: () =>
      new Promise((resolve) => {
        const look = () =>
          Atomics.load(words, DONE) === request ? resolve(undefined) : setImmediate(look);
        setImmediate(look);
      }),
  }[answer];
  return {
    write(length, offset) {
      Atomics.store(words, LENGTH, length);
      Atomics.store(words, OFFSET, offset);
      submit(++request);
      return wait();
    },
    async end() {
      submit(-1);
      await worker.terminate();
    },
  };
}

function spend(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

async function measure(route, { duringMs, betweenMs }) {
  const latencies = [];
  let end = 0;
  const utilization = performance.eventLoopUtilization();
  const stopAt = performance.now() + MEASURE_MS;
  while (performance.now() < stopAt) {
    const crosses = (end % BLOCK_BYTES) + GROUP_BYTES > BLOCK_BYTES;
    const start = performance.now();
    const writing = crosses
      ? route.write(2 * BLOCK_BYTES, end - (end % BLOCK_BYTES))
      : route.write(GROUP_BYTES, end);
    spend(duringMs);
    await writing;
    latencies.push(performance.now() - start);
    end = (end + GROUP_BYTES) % (RESERVED_BYTES - 2 * BLOCK_BYTES);
    spend(betweenMs);
  }
  const { active } = performance.eventLoopUtilization(utilization);
  latencies.sort((a, b) => a - b);
  const at = (part) => Math.round(1000 * latencies[Math.floor(part * latencies.length)]);
  const loop = Math.round((1000 * active) / latencies.length - 1000 * betweenMs);
  return { p50: at(0.5), p99: at(0.99), loop };
}

async function main() {
  const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'commit-route-'));
  const path = join(directory, 'file');
  const made = openSync(path, 'w');
  writeSync(made, new Uint8Array(RESERVED_BYTES));
  fsyncSync(made);
  closeSync(made);
  const descriptor = openSync(path, constants.O_RDWR | constants.O_DSYNC);
  const data = new SharedArrayBuffer(2 * BLOCK_BYTES);
  crypto.getRandomValues(Buffer.from(new Uint8Array(2 * BLOCK_BYTES))).copy(Buffer.from(data));
  const routes = [['pool', () => poolRoute(descriptor, data)]];
  for (const answer of ['message', 'waitAsync', 'poll']) {
    for (const spinMs of [0, 0.15]) {
      const name = `thread, ${answer}, spins ${1000 * spinMs} us`;
      routes.push([name, () => threadRoute(descriptor, data, answer, spinMs)]);
    }
  }
  for (const busy of [
    { duringMs: 0, betweenMs: 0 },
    { duringMs: 0, betweenMs: 0.06 },
    { duringMs: 0.03, betweenMs: 0.06 },
  ]) {
    console.log(
      `\nthe event loop busy for ${1000 * busy.duringMs} us during and ${1000 * busy.betweenMs} us between writes`,
    );
    const found = new Map(routes.map(([name]) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, make] of routes) {
        const route = await make();
        found.get(name).push(await measure(route, busy));
        await route.end();
      }
    }
    for (const [name, samples] of found) {
      const middle = (field) => samples.map((one) => one[field]).sort((a, b) => a - b)[ROUNDS >> 1];
      const line = `p50 ${String(middle('p50'))} us, p99 ${String(middle('p99'))} us, event loop ${String(middle('loop'))} us`;
      console.log(`${name.padEnd(32)} ${line}`);
    }
  }
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
}

if (isMainThread) await main();
else serveWrites(workerData);

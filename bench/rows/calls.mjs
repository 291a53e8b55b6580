import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { medians, ratioSpread, spread } from '../lib/figures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { duration, many, number, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { DATA_BYTES, keyAt, mix, queriesOf } from '../lib/workload.mjs';
import { loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 11;
export const title = 'Reads for hot paths';

const KEYS_PER_CALL = 1_000;
const PASSES = 3;
/** A sixteenth of all keys. */
const KEYSPACE = { prefix: 5, bits: 4 };
const SHORT_KEY_BITS = 60;
const SIZES = [1_000_000, 5_000_000];
const BRIEF_SIZES = [100_000];

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  const queries = context.pick(200_000, 20_000);
  for (const count of context.pick(SIZES, BRIEF_SIZES)) {
    const peers = context.usable(count <= 1_000_000 ? STORES : ['lodestore', 'lmdb']);
    const made = await context.fixtures.getAll(peers, 'random', count);
    const { directory: merged } = await context.fixtures.merged('random', count);
    const cases = made.map(({ peer, directory }) => ({
      id: peer,
      peer,
      job: { peer, count, queries, directory: peer === 'lodestore' ? merged : directory },
    }));
    context.log(`${count} random keys`);
    stores.push({ count, cases: await context.rounds('calls', cases, context.pick(3, 1)) });
  }
  return { queries, stores };
}

/** @param {{ peer: string, directory: string, count: number, queries: number }} job */
export async function measure({ peer: id, directory, count, queries: length }) {
  const store = await (await loadPeer(id)).open(directory);
  store.warm?.();
  const queries = queriesOf('random', count, length);
  const pieces = piecesOf(queries);
  const calls = {
    ...(store.get && { get: () => queries.forEach((key) => store.get(key)) }),
    manyWithData: async () => {
      for (const keys of pieces) await store.getMany(keys);
    },
    ...(store.store && ourCalls(store.store, queries, pieces, count)),
  };
  const nanoseconds = await timesOf(calls, length);
  const loopDelay = watchLoop();
  for (const keys of pieces) {
    await store.getMany(keys);
    await turn();
  }
  const delay = loopDelay();
  const scans = store.store && (await scansOf(store.store, count));
  await store.close();
  return { ...nanoseconds, ...delay, ...scans };
}

/** @type {(queries: bigint[]) => BigUint64Array[]} */
function piecesOf(queries) {
  const all = BigUint64Array.from(queries);
  return Array.from({ length: queries.length / KEYS_PER_CALL }, (_, i) =>
    all.subarray(i * KEYS_PER_CALL, (i + 1) * KEYS_PER_CALL),
  );
}

/** Calls that only lodestore has. */
function ourCalls(store, queries, pieces, count) {
  const target = new Uint8Array(DATA_BYTES);
  const values = new BigUint64Array(KEYS_PER_CALL);
  const keyspace = store.keyspace(KEYSPACE);
  const snapshot = store.snapshot();
  const full = keysWithPrefix(count, queries.length);
  const short = full.map((key) => BigInt.asUintN(SHORT_KEY_BITS, key));
  return {
    has: () => queries.forEach((key) => store.has(key)),
    value: () => queries.forEach((key) => store.valueOf(key)),
    getInto: () => queries.forEach((key) => store.getInto(key, target)),
    many: () => pieces.forEach((keys) => store.getMany(keys)),
    manyInto: () => pieces.forEach((keys) => store.getMany(keys, { into: values })),
    hasMany: () => pieces.forEach((keys) => store.hasMany(keys)),
    getOfPrefix: () => full.forEach((key) => store.get(key)),
    getInKeyspace: () => short.forEach((key) => keyspace.get(key)),
    getInSnapshot: () => queries.forEach((key) => snapshot.get(key)),
    snapshot: () => queries.forEach(() => store.snapshot().release()),
  };
}

/** Calls that read or count all records once. */
async function scansOf(store, count) {
  const timed = async (scan) => {
    const start = performance.now();
    const seen = await scan();
    if (seen !== count) throw new Error(`${seen} records instead of ${count}`);
    return (1e6 * (performance.now() - start)) / count;
  };
  const scan = await timed(() => {
    let seen = 0;
    for (const [, { data }] of store.entries()) seen += data.length / DATA_BYTES;
    return seen;
  });
  const loopDelay = watchLoop();
  const scanInSlices = await timed(async () => {
    let seen = 0;
    for await (const [, { data }] of store.entries()) seen += data.length / DATA_BYTES;
    return seen;
  });
  const { delayP99: scanDelayP99, delayMax: scanDelayMax } = loopDelay();
  const highest = store.lastKey();
  const counted = await timed(async () => (await store.count({ lt: highest })) + 1);
  return { scan, scanInSlices, scanDelayP99, scanDelayMax, counted };
}

/** Keys of records in the keyspace, in random order. */
function keysWithPrefix(count, length) {
  const found = [];
  for (let i = 0; found.length < length; i++) {
    const key = keyAt('random', mix(i) % count);
    if (key >> BigInt(SHORT_KEY_BITS) === BigInt(KEYSPACE.prefix)) found.push(key);
  }
  return found;
}

/** Nanoseconds per key of each call: one untimed pass, then medians of passes. */
async function timesOf(calls, length) {
  const passes = [];
  for (let pass = 0; pass <= PASSES; pass++) {
    const nanoseconds = {};
    for (const [name, call] of Object.entries(calls)) {
      const start = performance.now();
      await call();
      nanoseconds[name] = (1e6 * (performance.now() - start)) / length;
    }
    passes.push(nanoseconds);
  }
  return medians(passes.slice(1));
}

const LABELS = {
  get: 'get',
  has: 'has',
  value: 'valueOf',
  getInto: 'getInto',
  many: 'getMany',
  manyInto: 'getMany, into an array',
  manyWithData: 'getMany, with data',
  hasMany: 'hasMany',
  getOfPrefix: 'get, of keys with one prefix',
  getInKeyspace: 'get of a keyspace, the same keys',
  getInSnapshot: 'get of a snapshot',
  snapshot: 'snapshot taken and released',
  scan: 'entries, of all records',
  scanInSlices: 'entries with for await',
  counted: 'count of a range, of all but one',
};
const DELAY_LABELS = {
  delayP50: 'loop delay p50',
  delayP99: 'loop delay p99',
  scanDelayP99: 'loop delay p99, entries with for await',
  scanDelayMax: 'longest delay, entries with for await',
};

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ queries, stores }, names) {
  return {
    text:
      `Nanoseconds per key or record, of ${number(queries)} random keys, one in ten without a record; getMany and hasMany take ${number(KEYS_PER_CALL)} at a time. ` +
      'lodestore is opened after a merge. The others read values and data with their own getMany, ' +
      'which is asynchronous, or key by key where they have none (better-sqlite3). The loop delay is that of one getMany with data in each turn, or of what the line says.',
    tables: stores.map((store) => tableOf(store, names)),
    charts: [],
    goals: stores.flatMap(goalsOf),
    comparisons: stores.map(comparisonOf),
  };
}

function tableOf({ count, cases }, names) {
  const shown = cases.filter(({ samples }) => samples.length > 0);
  const nanoseconds = (value) => number(value);
  const rows = Object.entries(LABELS).map(([field, label]) => [
    label,
    ...shown.map(({ samples }) => {
      const values = samples.flatMap((one) => one[field] ?? []);
      return values.length === 0 ? '' : withSpread(spread(values), nanoseconds);
    }),
  ]);
  for (const [field, label] of Object.entries(DELAY_LABELS)) {
    const texts = shown.map(({ samples }) => medians(samples)[field]);
    rows.push([label, ...texts.map((ms) => (ms === undefined ? '' : duration(ms)))]);
  }
  const head = ['', ...shown.map(({ peer }) => names[peer])];
  return { caption: `${many(count)} records, random keys`, head, rows };
}

const samplesOf = (cases, id) => cases.find(({ peer }) => peer === id)?.samples ?? [];

function goalsOf({ count, cases }) {
  const samples = samplesOf(cases, 'lodestore');
  const values = (field) => samples.map((one) => one[field]);
  const over = (field) => ratioSpread(values(field), values('get'), 'less')?.median;
  const what = `${many(count)} records, random keys: getMany of ${number(KEYS_PER_CALL)}`;
  const { scanDelayMax } = medians(samples);
  return [
    goal(`${what} at least 2 x single gets`, over('many'), { atLeast: 2 }, times),
    goal(
      `${many(count)} records: for await over all holds up the event loop for at most 5 ms`,
      scanDelayMax,
      { atMost: 5 },
      duration,
    ),
  ];
}

function comparisonOf({ count, cases }) {
  const values = (id) => samplesOf(cases, id).map((one) => one.manyWithData);
  return {
    what: `getMany of ${number(KEYS_PER_CALL)}, with data, ${many(count)} random keys`,
    commits: /** @type {const} */ ('default'),
    ratios: Object.fromEntries(
      RIVALS.map((id) => [id, ratioSpread(values('lodestore'), values(id), 'less')]),
    ),
  };
}

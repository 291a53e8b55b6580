// @ts-check
/**
 * Processor time and space of a bucket with compression, beside a bucket without: `node
 * bench/storage-node-compression.mjs [--rounds N] [--directory D]`, after `npm run build`. The
 * rounds of both are interleaved; each figure is a median of the rounds. The disk is not measured.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StorageNode } from 'lodestore-node';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const ROUNDS = Number(values.rounds);
const CLIENTS = 8;
const KIB = 1024;
const MIB = 1024 * KIB;

/** Records of an event log, as a program would write them. @param {number} bytes */
function jsonOf(bytes) {
  const kinds = ['created', 'updated', 'deleted', 'restored'];
  let text = '';
  for (let i = 0; text.length < bytes; i++) {
    const id = randomBytes(6).toString('hex');
    const event = { id, atMs: 1_700_000_000_000 + i * 37, kind: kinds[i % 4], user: i % 211 };
    text += `${JSON.stringify({ ...event, path: `/photos/2026/${i % 12}/${id}.jpg`, ok: true })}\n`;
  }
  return Buffer.from(text.slice(0, bytes));
}

/** @param {number[]} numbers */
function median(numbers) {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? NaN;
}

/**
 * Microseconds of processor time for one call.
 *
 * @param {number} count
 * @param {(i: number) => Promise<unknown>} work
 */
async function cpuOf(count, work) {
  let next = 0;
  const before = process.cpuUsage();
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (next < count) await work(next++);
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

/** @param {StorageNode} node */
async function liveBytes(node) {
  const { volumes } = await node.figures();
  const data = volumes.filter((volume) => volume.class !== 'index');
  return data.reduce((sum, volume) => sum + volume.liveBytes, 0);
}

/**
 * @param {StorageNode} node
 * @param {string} bucket
 * @param {Buffer} body
 * @param {number} count
 */
async function round(node, bucket, body, count) {
  const etag = createHash('md5').update(body).digest('hex');
  const describe = () => ({ etag, meta: { headers: {} } });
  const chunks = Array.from({ length: Math.ceil(body.length / (64 * KIB)) }, (_, i) =>
    body.subarray(i * 64 * KIB, (i + 1) * 64 * KIB),
  );
  const space = await liveBytes(node);
  const put = await cpuOf(count, (i) => node.put(bucket, `n${i}`, chunks, { describe }));
  const stored = ((await liveBytes(node)) - space) / count / body.length;
  const get = await cpuOf(count, async (i) => {
    const object = await node.open(bucket, `n${i}`);
    let bytes = 0;
    for await (const piece of object?.body() ?? []) bytes += piece.length;
    if (bytes !== body.length) throw new Error(`${bytes} bytes instead of ${body.length}`);
  });
  for (let i = 0; i < count; i++) await node.delete(bucket, `n${i}`);
  return { put, get, stored };
}

const directory = await mkdtemp(join(values.directory, 'lodestore-node-bench-'));
const options = { upkeepMs: 0, scrubBytesPerSecond: 0, compactBytesPerSecond: 0 };
const node = await StorageNode.open(directory, options);
try {
  await node.createBucket('plain');
  await node.createBucket('zip', { mode: 'keep', compression: 'zstd' });
  console.log('| body | PUT plain | PUT zstd | ratio | GET plain | GET zstd | ratio | stored |');
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const [what, body, count] of /** @type {const} */ ([
    ['4 KiB of JSON', jsonOf(4 * KIB), 400],
    ['64 KiB of JSON', jsonOf(64 * KIB), 200],
    ['64 KiB at random', randomBytes(64 * KIB), 200],
    ['4 MiB of JSON', jsonOf(4 * MIB), 16],
    ['4 MiB at random', randomBytes(4 * MIB), 16],
  ])) {
    /** @type {{ put: number; get: number; stored: number }[]} */
    const plain = [];
    /** @type {typeof plain} */
    const zip = [];
    // The first round warms up.
    for (let i = 0; i <= ROUNDS; i++) {
      const one = await round(node, 'plain', body, count);
      const other = await round(node, 'zip', body, count);
      if (i > 0) plain.push(one);
      if (i > 0) zip.push(other);
      await node.compact();
    }
    /** @param {'put' | 'get' | 'stored'} key @param {typeof plain} rounds */
    const of = (key, rounds) => median(rounds.map((one) => one[key]));
    const cells = (/** @type {'put' | 'get'} */ key) => {
      const [one, other] = [of(key, plain), of(key, zip)];
      return [`${one.toFixed(0)} us`, `${other.toFixed(0)} us`, (other / one).toFixed(2)];
    };
    const space = `${(100 * of('stored', zip)).toFixed(0)} %`;
    console.log(`| ${[what, ...cells('put'), ...cells('get'), space].join(' | ')} |`);
  }
} finally {
  await node.close();
  await rm(directory, { recursive: true });
}

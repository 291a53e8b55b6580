// @ts-check
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { SourceTree } from '../demo/source-tree.mjs';
import { Chaos, randomOf } from './chaos.mjs';
import { Cluster, findEtcd } from './cluster.mjs';
import { Hosts } from './hosts.mjs';
import { hashesOf, lostKeys, settle } from './verification.mjs';
import { Workload } from './workload.mjs';

const USAGE = `usage: node examples/cluster/demo.mjs [options]
Runs three etcd servers and three lodestore nodes on this machine. Stores the metadata of a directory tree
repeatedly while servers and nodes are killed, then checks that every acknowledged batch is present.
Exit code 0: nothing is lost and all nodes are equal; 1: otherwise; 2: wrong usage, or etcd is not installed.
  --seconds N   duration of the writes (default 60)
  --shards N    number of shards (default 4)
  --writers N   writers per shard (default 2)
  --source DIR  the directory tree (default: this package)
  --seed N      seed of the failures
  --netns       each host in a network namespace, so that it can be cut off (root)
  --keep        keep the data and print its directory`;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    shards: { type: 'string', default: '4' },
    writers: { type: 'string', default: '2' },
    source: { type: 'string', default: dirname(dirname(dirname(fileURLToPath(import.meta.url)))) },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    netns: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const etcd = findEtcd();
if (values.help || etcd === undefined) {
  console.log(
    values.help ? USAGE : 'etcd is not installed. On Debian: apt-get install etcd-server',
  );
  process.exit(values.help ? 0 : 2);
}
const seconds = Number(values.seconds);
const shards = Number(values.shards);
const directory = mkdtempSync(join(tmpdir(), 'lodestore-cluster-'));
const hosts = values.netns ? Hosts.inNamespaces(3) : await Hosts.onLoopback(3);
const cluster = new Cluster(hosts, directory, { shards, etcd });
let isGood = false;
/** @type {Promise<void> | undefined} */
let ending;
process.once('SIGINT', () => void end().then(() => process.exit(130)));
try {
  isGood = await run();
} finally {
  await end();
}
process.exit(isGood ? 0 : 1);

/** Ends all processes and removes the data. */
function end() {
  ending ??= cluster.stop().then(() => {
    if (values.keep) console.log(`data: ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  });
  return ending;
}

async function run() {
  const { files } = await SourceTree.read(values.source, { maxFiles: 5000, maxBytes: 2 ** 40 });
  console.log(`seed ${values.seed}: ${files.length} files, ${shards} shards, ${seconds} s`);
  await cluster.start();
  const workload = new Workload(cluster.addresses, shards, files);
  const chaos = new Chaos(cluster, randomOf(Number(values.seed)));
  const progress = setInterval(() => {
    console.log(`  ${workload.acknowledged} batches acknowledged; ${JSON.stringify(chaos.counts)}`);
  }, 10_000);
  const writing = workload.run(Number(values.writers));
  const endMs = Date.now() + 1000 * seconds;
  // No failures in the last seconds, so that the end of the last outage is measured, too.
  await chaos.run(endMs - 8000);
  await pause(Math.max(0, endMs - Date.now()));
  workload.stop();
  await writing;
  clearInterval(progress);
  const primaries = await settle(cluster);
  const hashes = await hashesOf(primaries);
  const lost = await lostKeys(cluster, workload.expected);
  const isEqual = hashes.every((of) => new Set(of).size === 1);
  const failovers = primaries.reduce((sum, { epoch }) => sum + Number(epoch) - 1, 0);
  console.log(`
acknowledged batches   ${workload.acknowledged} (${workload.unanswered} without an answer at the end)
requests sent again    ${workload.retries}
broken                 ${JSON.stringify(chaos.counts)}
failovers              ${failovers}
longest outage         ${(workload.longestOutageMs / 1000).toFixed(1)} s of one shard
records                ${primaries.reduce((sum, { records }) => sum + records, 0)}
lost                   ${lost.length}${lost.length === 0 ? '' : `: keys ${lost.slice(0, 5).join(', ')}`}
content hashes         ${isEqual ? 'equal on all nodes of each shard' : JSON.stringify(hashes)}`);
  return isEqual && lost.length === 0 && workload.acknowledged > 0;
}

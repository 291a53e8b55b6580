// @ts-check
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Cluster, findEtcd } from './cluster.mjs';
import { Hosts } from './hosts.mjs';

const { values } = parseArgs({
  options: { data: { type: 'string' }, shards: { type: 'string', default: '4' } },
});
const etcd = findEtcd();
if (etcd === undefined) {
  console.error('etcd is not installed. On Debian: apt-get install etcd-server');
  process.exit(2);
}
const isTemporary = values.data === undefined;
const directory = resolve(values.data ?? mkdtempSync(join(tmpdir(), 'lodestore-cluster-')));
mkdirSync(directory, { recursive: true });
// Ports and shards of a cluster do not change.
const saved = join(directory, 'cluster.json');
const known = existsSync(saved) ? JSON.parse(readFileSync(saved, 'utf8')) : undefined;
const hosts = known === undefined ? await Hosts.onLoopback(3) : new Hosts(known.hosts, undefined);
const shards = known === undefined ? Number(values.shards) : known.shards;
writeFileSync(saved, JSON.stringify({ hosts: hosts.list, shards }));
const cluster = new Cluster(hosts, directory, { shards, etcd });
const stopping = new AbortController();
const { signal } = stopping;
process.once('SIGINT', () => stopping.abort());
process.once('SIGTERM', () => stopping.abort());
try {
  await cluster.start(signal);
  if (!signal.aborted) {
    greet();
    await once(signal, 'abort');
  }
} finally {
  await cluster.stop();
  if (isTemporary) rmSync(directory, { recursive: true, force: true });
}

function greet() {
  console.log(`three servers of etcd and three lodestore nodes, with ${cluster.shards} shards`);
  for (const address of cluster.addresses) console.log(`  ${address}/`);
  const [first] = cluster.addresses;
  console.log(`
write: curl -X PUT '${first}/keys/42?value=7' -d hello   (421: the answer names the primary)
read:  curl '${first}/keys/42'
data:  ${directory}
stop:  Ctrl-C`);
}

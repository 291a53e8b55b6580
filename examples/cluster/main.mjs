// @ts-check
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
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
const hosts = await Hosts.onLoopback(3);
const cluster = new Cluster(hosts, directory, { shards: Number(values.shards), etcd });
const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
try {
  await cluster.start();
  console.log(`three servers of etcd and three lodestore nodes, with ${cluster.shards} shards`);
  for (const address of cluster.addresses) console.log(`  ${address}/`);
  const [first] = cluster.addresses;
  console.log(`
write: curl -X PUT '${first}/keys/42?value=7' -d hello   (421: the answer names the primary)
read:  curl '${first}/keys/42'
data:  ${directory}
stop:  Ctrl-C`);
  await stopped;
} finally {
  await cluster.stop();
  if (isTemporary) rmSync(directory, { recursive: true, force: true });
}

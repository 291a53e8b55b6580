import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How a process connects to an engine: it goes through the arguments of a child.
 * @typedef {{ kind: 'etcd' | 'nats' | 'postgres', addresses: string[] }} EngineAddress
 *
 * @typedef {object} RunningEngine
 * @property {EngineAddress} address
 * @property {string} name With its version.
 * @property {string} setting Servers, and what they sync.
 * @property {() => Promise<void>} stop
 */

const START_MS = 30_000;
const ASK_MS = 10_000;
const SERVERS = 3;

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** @type {(command: string) => string | undefined} */
function inPath(command) {
  try {
    const args = ['-c', `command -v ${command}`];
    return execFileSync('sh', args, { encoding: 'utf8', timeout: ASK_MS }).trim();
  } catch {
    return undefined;
  }
}

/** @type {(program: string, args: string[]) => string} */
function versionOf(program, args) {
  const text = execFileSync(program, args, { encoding: 'utf8', timeout: ASK_MS });
  return /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0] ?? 'unknown';
}

/** @type {(count: number) => Promise<number[]>} */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => /** @type {{ port: number }} */ (server.address()).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/**
 * Starts one server. It ends with this process.
 * @type {(program: string, args: string[], log: string, owner?: { uid?: number, gid?: number }) =>
 *   import('node:child_process').ChildProcess}
 */
function start(program, args, log, owner = {}) {
  const file = openSync(log, 'a');
  const child = spawn(program, args, {
    stdio: ['ignore', file, file],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LC_ALL: 'C' },
    ...owner,
  });
  closeSync(file);
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** @type {(what: string, check: () => Promise<boolean>) => Promise<void>} */
async function until(what, check) {
  const end = Date.now() + START_MS;
  while (Date.now() < end) {
    if (await check().catch(() => false)) return;
    await sleep(50);
  }
  throw new Error(`${what} does not answer within ${START_MS / 1000} s`);
}

/** @type {(url: string) => Promise<boolean>} */
async function answers(url) {
  return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
}

/**
 * Ends servers and removes their data.
 * @type {(children: readonly import('node:child_process').ChildProcess[], directory: string) =>
 *   Promise<void>}
 */
async function stop(children, directory) {
  const live = children.filter((child) => running.has(child));
  const ended = live.map((child) => once(child, 'exit'));
  for (const child of live) child.kill('SIGKILL');
  await Promise.all(ended);
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
}

/** @type {(scratch: string) => Promise<RunningEngine | undefined>} */
async function startEtcd(scratch) {
  const etcd = process.env.LODESTORE_ETCD ?? inPath('etcd');
  if (etcd === undefined) return undefined;
  const directory = mkdtempSync(join(scratch, 'etcd-'));
  const ports = await freePorts(2 * SERVERS);
  const url = (/** @type {number} */ i) => `http://127.0.0.1:${ports[i]}`;
  const servers = Array.from({ length: SERVERS }, (_, i) => i);
  const members = servers.map((i) => `e${i}=${url(SERVERS + i)}`).join(',');
  const children = servers.map((i) => {
    const data = join(directory, `e${i}`);
    mkdirSync(data);
    const args = ['--name', `e${i}`, '--data-dir', join(data, 'data')];
    args.push('--listen-client-urls', url(i), '--advertise-client-urls', url(i));
    args.push('--listen-peer-urls', url(SERVERS + i));
    args.push('--initial-advertise-peer-urls', url(SERVERS + i));
    args.push('--initial-cluster', members, '--quota-backend-bytes', String(4 * 2 ** 30));
    return start(etcd, args, join(data, 'log'));
  });
  await until('etcd', () => answers(`${url(0)}/health`));
  return {
    address: { kind: 'etcd', addresses: servers.map(url) },
    name: `etcd ${versionOf(etcd, ['--version'])}`,
    setting: `${SERVERS} servers, defaults`,
    stop: () => stop(children, directory),
  };
}

/** @type {(scratch: string) => Promise<RunningEngine | undefined>} */
async function startNats(scratch) {
  const nats = process.env.LODESTORE_NATS ?? inPath('nats-server');
  if (nats === undefined) return undefined;
  const version = versionOf(nats, ['--version']);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 10)) return undefined;
  const directory = mkdtempSync(join(scratch, 'nats-'));
  const ports = await freePorts(3 * SERVERS);
  const servers = Array.from({ length: SERVERS }, (_, i) => i);
  const routes = servers.map((i) => `"nats://127.0.0.1:${ports[SERVERS + i]}"`).join(', ');
  const children = servers.map((i) => {
    const data = join(directory, `n${i}`);
    mkdirSync(data);
    const lines = [
      `server_name: n${i}`,
      `listen: "127.0.0.1:${ports[i]}"`,
      `http: "127.0.0.1:${ports[2 * SERVERS + i]}"`,
      `jetstream { store_dir: "${data}/js", max_file: 4G, sync_interval: always }`,
      `cluster { name: c, listen: "127.0.0.1:${ports[SERVERS + i]}", routes: [${routes}] }`,
    ];
    writeFileSync(join(data, 'conf'), lines.join('\n'));
    return start(nats, ['-c', join(data, 'conf')], join(data, 'log'));
  });
  for (const i of servers) {
    await until('nats-server', () => answers(`http://127.0.0.1:${ports[2 * SERVERS + i]}/healthz`));
  }
  return {
    address: { kind: 'nats', addresses: servers.map((i) => `127.0.0.1:${ports[i]}`) },
    name: `NATS JetStream ${version}`,
    setting: `${SERVERS} servers, sync_interval: always`,
    stop: () => stop(children, directory),
  };
}

const POSTGRES = '/usr/lib/postgresql';

/** The folder of the programs of PostgreSQL; undefined: not installed. */
function postgresFolder() {
  const given = process.env.LODESTORE_POSTGRES;
  if (given !== undefined) return given;
  if (!existsSync(POSTGRES)) return undefined;
  const versions = readdirSync(POSTGRES).filter((name) => Number(name) >= 15);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  return newest === undefined ? undefined : join(POSTGRES, newest, 'bin');
}

/** The server refuses to run as root. */
function postgresOwner() {
  if (process.getuid?.() !== 0) return {};
  const id = (/** @type {string} */ flag) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', timeout: ASK_MS }));
  return { uid: id('-u'), gid: id('-g') };
}

/** @type {(scratch: string) => Promise<RunningEngine | undefined>} */
async function startPostgres(scratch) {
  const folder = postgresFolder();
  if (folder === undefined) return undefined;
  const owner = postgresOwner();
  // Its user may not enter the directory of the bench.
  const parent = owner.uid === undefined ? scratch : tmpdir();
  const directory = mkdtempSync(join(parent, 'lodestore-bench-postgres-'));
  chmodSync(directory, 0o700);
  if (owner.uid !== undefined) chownSync(directory, owner.uid, owner.gid ?? 0);
  const data = join(directory, 'data');
  const initial = ['-D', data, '-A', 'trust', '-U', 'lodestore', '--no-sync'];
  const { status, stderr } = spawnSync(join(folder, 'initdb'), initial, {
    ...owner,
    encoding: 'utf8',
    cwd: directory,
    timeout: 60_000,
    env: { LC_ALL: 'C', PATH: process.env.PATH },
  });
  if (status !== 0) throw new Error(`initdb: ${stderr}`);
  const [port] = await freePorts(1);
  const args = ['-D', data, '-p', String(port), '-k', directory, '-h', '127.0.0.1'];
  const child = start(join(folder, 'postgres'), args, join(directory, 'log'), owner);
  await until('PostgreSQL', async () => {
    const ready = ['-h', '127.0.0.1', '-p', String(port), '-q'];
    return spawnSync(join(folder, 'pg_isready'), ready, { timeout: ASK_MS }).status === 0;
  });
  return {
    address: { kind: 'postgres', addresses: [`postgres://lodestore@127.0.0.1:${port}/postgres`] },
    name: `PostgreSQL ${versionOf(join(folder, 'postgres'), ['--version'])}`,
    setting: '1 server without a standby, defaults',
    stop: () => stop([child], directory),
  };
}

/** What starts each engine; one that is not installed resolves to undefined. */
export const ENGINES = [
  { id: 'etcd', start: startEtcd },
  { id: 'nats', start: startNats },
  { id: 'postgres', start: startPostgres },
];

/**
 * @param {EngineAddress} address
 * @returns {Promise<import('../../src/adapters/engine.ts').ReplicationEngine>}
 */
export async function connectEngine({ kind, addresses }) {
  switch (kind) {
    case 'etcd': {
      const { EtcdEngine } = await import('../../dist/adapters/etcd/index.js');
      return await EtcdEngine.connect({ endpoints: addresses });
    }
    case 'nats': {
      const { NatsEngine } = await import('../../dist/adapters/nats/index.js');
      return await NatsEngine.connect({ servers: addresses });
    }
    case 'postgres': {
      const { PostgresEngine } = await import('../../dist/adapters/postgres/index.js');
      return await PostgresEngine.connect({ servers: addresses });
    }
  }
}

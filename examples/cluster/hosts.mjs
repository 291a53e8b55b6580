// @ts-check
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';

/** Runs `ip`. Throws if it fails. @param {string} line */
function ip(line) {
  execFileSync('ip', line.split(' '), { stdio: 'pipe' });
}

/** Free ports of the loopback interface. @param {number} count */
async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => /** @type {{ port: number }} */ (server.address()).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/**
 * Three hosts on one machine, each for one engine server and one node. On loopback, they have
 * separate ports. With network namespaces, they have separate addresses, and their network can be
 * cut.
 */
export class Hosts {
  /** @type {readonly { address: string, client: number, peer: number, node: number }[]} */
  list;
  canCut;
  #id;

  /**
   * @param {Hosts['list']} list
   * @param {string | undefined} id  of the namespaces
   */
  constructor(list, id) {
    this.list = list;
    this.#id = id;
    this.canCut = id !== undefined;
  }

  /** @param {number} count */
  static async onLoopback(count) {
    const ports = await freePorts(3 * count);
    const list = Array.from({ length: count }, (_, i) => ({
      address: '127.0.0.1',
      client: ports[3 * i] ?? 0,
      peer: ports[3 * i + 1] ?? 0,
      node: ports[3 * i + 2] ?? 0,
    }));
    return new Hosts(list, undefined);
  }

  /**
   * Needs root. A bridge connects the hosts and this process.
   * @param {number} count
   */
  static inNamespaces(count) {
    const id = `ls${process.pid % 10_000}`;
    const subnet = `10.${64 + (process.pid % 64)}.${process.pid % 200}`;
    const hosts = new Hosts(
      Array.from({ length: count }, (_, i) => ({
        address: `${subnet}.${i + 1}`,
        client: 2379,
        peer: 2380,
        node: 8080,
      })),
      id,
    );
    ip(`link add ${id}b type bridge`);
    ip(`addr add ${subnet}.254/24 dev ${id}b`);
    ip(`link set ${id}b up`);
    for (const [i, { address }] of hosts.list.entries()) {
      ip(`netns add ${id}h${i}`);
      ip(`link add ${id}v${i} type veth peer name eth0 netns ${id}h${i}`);
      ip(`link set ${id}v${i} master ${id}b up`);
      ip(`-n ${id}h${i} addr add ${address}/24 dev eth0`);
      ip(`-n ${id}h${i} link set eth0 up`);
      ip(`-n ${id}h${i} link set lo up`);
    }
    return hosts;
  }

  /** Disconnects a host from the network. @param {number} i */
  cut(i) {
    ip(`link set ${this.#id}v${i} down`);
  }

  /** @param {number} i */
  heal(i) {
    ip(`link set ${this.#id}v${i} up`);
  }

  /**
   * Starts a program on a host. Its output goes to a file.
   * @param {number} i
   * @param {string} program
   * @param {readonly string[]} args
   * @param {string} logPath
   */
  spawn(i, program, args, logPath) {
    const line = this.canCut
      ? ['ip', 'netns', 'exec', `${this.#id}h${i}`, program, ...args]
      : [program, ...args];
    const log = openSync(logPath, 'a');
    const child = spawn(line[0] ?? '', line.slice(1), { stdio: ['ignore', log, log] });
    closeSync(log);
    return child;
  }

  remove() {
    if (!this.canCut) return;
    for (const i of this.list.keys()) {
      try {
        ip(`netns del ${this.#id}h${i}`);
      } catch (error) {
        console.error(String(error));
      }
    }
    ip(`link del ${this.#id}b`);
  }
}

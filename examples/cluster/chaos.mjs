// @ts-check
import { setTimeout as pause } from 'node:timers/promises';
import { move, statusOf } from './cluster.mjs';

/** @import { Cluster } from './cluster.mjs' */

/** Random numbers in [0, 1) from a seed. @param {number} seed */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Causes one failure after another and ends each: a majority of the engine's servers runs again
 * soon, and so does every node.
 */
export class Chaos {
  #cluster;
  #random;
  /** The number of failures of each kind. @type {Record<string, number>} */
  counts = {};
  /** @type {(readonly [name: string, weight: number, act: () => Promise<void>])[]} */
  #kinds;

  /**
   * @param {Cluster} cluster
   * @param {() => number} random
   */
  constructor(cluster, random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#kinds = [
      ['primary killed', 5, () => this.#killPrimary(false)],
      ['directory emptied', 2, () => this.#killPrimary(true)],
      ['node stopped and continued', 2, () => this.#stopNode()],
      ['engine server killed', 4, () => this.#killEngine()],
      ['engine server stopped and continued', 1, () => this.#stopEngine()],
      ['all engine servers killed', 1, () => this.#killEngines()],
      ['shard moved', 8, () => this.#moveShard()],
      ...(cluster.hosts.canCut
        ? [/** @type {const} */ (['host cut off', 4, () => this.#cutHost()])]
        : []),
    ];
  }

  /** @param {number} untilMs  by the clock of `Date.now` */
  async run(untilMs) {
    while (Date.now() < untilMs) {
      await pause(1000 + 2000 * this.#random());
      const total = this.#kinds.reduce((sum, [, weight]) => sum + weight, 0);
      let drawn = total * this.#random();
      const [name, , act] =
        this.#kinds.find(([, weight]) => (drawn -= weight) < 0) ?? this.#kinds[0] ?? [];
      if (name === undefined || act === undefined) return;
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      await act();
    }
  }

  /** The host that is the primary of most shards, or sometimes another. */
  async #primaryHost() {
    const { addresses } = this.#cluster;
    if (this.#random() < 0.3) return this.#anyHost();
    const all = await Promise.all(addresses.map(statusOf));
    const counts = all.map((it) => it?.shards.filter(({ role }) => role === 'primary').length ?? 0);
    return counts.indexOf(Math.max(...counts));
  }

  #anyHost() {
    return Math.floor(this.#random() * this.#cluster.addresses.length);
  }

  /** @param {boolean} isEmptied */
  async #killPrimary(isEmptied) {
    const host = await this.#primaryHost();
    const node = this.#cluster.nodes[host];
    await node?.kill();
    if (isEmptied) this.#cluster.empty(host);
    await pause(4000 * this.#random());
    node?.start();
  }

  async #stopNode() {
    const node = this.#cluster.nodes[await this.#primaryHost()];
    node?.signal('SIGSTOP');
    await pause(2000 + 5000 * this.#random());
    node?.signal('SIGCONT');
  }

  async #killEngine() {
    const engine = this.#cluster.engines[this.#anyHost()];
    await engine?.kill();
    await pause(4000 * this.#random());
    engine?.start();
  }

  async #stopEngine() {
    const engine = this.#cluster.engines[this.#anyHost()];
    engine?.signal('SIGSTOP');
    await pause(2000 + 4000 * this.#random());
    engine?.signal('SIGCONT');
  }

  async #killEngines() {
    const { engines } = this.#cluster;
    await Promise.all(engines.map((engine) => engine.kill()));
    await pause(1000 * this.#random());
    for (const engine of engines) engine.start();
    await pause(3000);
  }

  /** Moves a shard to a node that does not have it. Writers go on meanwhile. */
  async #moveShard() {
    const { addresses } = this.#cluster;
    const all = await Promise.all(addresses.map(statusOf));
    const primaries = all.flatMap(
      (it) => it?.shards.filter(({ role }) => role === 'primary') ?? [],
    );
    const shard = primaries[Math.floor(this.#random() * primaries.length)];
    const to = addresses.find((address) => shard?.replicas.includes(address) === false);
    if (shard !== undefined && to !== undefined) await move(shard, to);
  }

  /** Cuts a host off: its node and its engine server reach neither the others nor clients. */
  async #cutHost() {
    const host = await this.#primaryHost();
    this.#cluster.hosts.cut(host);
    await pause(3000 + 7000 * this.#random());
    this.#cluster.hosts.heal(host);
  }
}

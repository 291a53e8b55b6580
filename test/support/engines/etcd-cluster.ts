import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineProcess, freePorts, programPath, until } from './engine-process.ts';

/** The path of etcd; undefined if not installed. `LODESTORE_ETCD` overrides it. */
export const ETCD: string | undefined = programPath('LODESTORE_ETCD', ['etcd']);

export interface EtcdClusterOptions {
  readonly nodes?: number;
  /** Additional arguments of each server. */
  readonly extra?: readonly string[];
  /** Paths of certificate and key, for clients with TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A local etcd cluster. Its directory is removed at the end. */
export class EtcdCluster {
  readonly nodes: readonly EngineProcess[];
  readonly endpoints: readonly string[];
  readonly directory: string;

  private constructor(
    nodes: readonly EngineProcess[],
    endpoints: readonly string[],
    directory: string,
  ) {
    this.nodes = nodes;
    this.endpoints = endpoints;
    this.directory = directory;
  }

  /** Starts servers and waits for a leader. May fail if another program takes a port. */
  static async start(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    let failure: unknown;
    for (let attempt = 0; attempt < 3; attempt++) {
      const cluster = await EtcdCluster.#make(options);
      try {
        for (const node of cluster.nodes) node.start();
        await cluster.untilReady();
        return cluster;
      } catch (error) {
        failure = error;
        await cluster.stop();
      }
    }
    throw failure;
  }

  static async #make({ nodes = 1, extra = [], tls }: EtcdClusterOptions): Promise<EtcdCluster> {
    if (ETCD === undefined) throw new Error('etcd is not installed');
    const etcd = ETCD;
    const directory = mkdtempSync(join(tmpdir(), 'lodestore-etcd-'));
    const ports = await freePorts(2 * nodes);
    const scheme = tls === undefined ? 'http' : 'https';
    const endpoints = ports.slice(0, nodes).map((port) => `${scheme}://127.0.0.1:${port}`);
    const peers = ports.slice(nodes).map((port) => `http://127.0.0.1:${port}`);
    const initial = peers.map((peer, i) => `e${i}=${peer}`).join(',');
    const processes = endpoints.map((endpoint, i) => {
      const data = join(directory, `e${i}`);
      mkdirSync(data);
      const args = ['--name', `e${i}`, '--data-dir', join(data, 'data')];
      args.push('--listen-client-urls', endpoint, '--advertise-client-urls', endpoint);
      args.push('--listen-peer-urls', peers[i]!, '--initial-advertise-peer-urls', peers[i]!);
      args.push('--initial-cluster', initial, '--initial-cluster-token', endpoints[0]!);
      if (tls !== undefined) args.push('--cert-file', tls.cert, '--key-file', tls.key);
      return new EngineProcess(`e${i}`, etcd, [...args, ...extra], join(data, 'log'));
    });
    return new EtcdCluster(processes, endpoints, directory);
  }

  /** Waits until the servers have a leader. */
  async untilReady(): Promise<void> {
    // `health` makes a linearizable read. With TLS, only the port is checked.
    const isPlain = this.endpoints[0]!.startsWith('http:');
    for (const [i, endpoint] of this.endpoints.entries()) {
      if (!this.nodes[i]!.isRunning)
        throw new Error(`etcd ended: ${this.nodes[i]!.log().slice(-500)}`);
      await until(`etcd at ${endpoint}`, async (signal) => {
        if (!isPlain) return this.nodes[i]!.log().includes('ready to serve client requests');
        const response = await fetch(`${endpoint}/health`, { signal });
        return response.ok && (await response.text()).includes('true');
      });
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

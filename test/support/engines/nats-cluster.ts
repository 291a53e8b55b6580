import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { EngineProcess, freePorts, programPath, until } from './engine-process.ts';

/** The path of nats-server; undefined if not installed. `LODESTORE_NATS` overrides it. */
export const NATS: string | undefined = programPath('LODESTORE_NATS', ['nats-server']);

/** True if the installed version is new enough. */
export function isNatsFit(): boolean {
  if (NATS === undefined) return false;
  const text = execFileSync(NATS, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  const [, major, minor, patch] = /v(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
  const number = Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch);
  return number >= 2_010_027;
}

export interface NatsClusterOptions {
  readonly nodes?: number;
  /** Default `always`. */
  readonly syncInterval?: string;
  /** Default: the server's. */
  readonly maxPayloadBytes?: number;
}

/** A local NATS cluster. Its directory is removed at the end. */
export class NatsCluster {
  readonly nodes: readonly EngineProcess[];
  readonly servers: readonly string[];
  readonly monitors: readonly string[];
  readonly directory: string;

  private constructor(nodes: readonly EngineProcess[], ports: readonly number[], at: string) {
    const count = nodes.length;
    this.nodes = nodes;
    this.servers = ports.slice(0, count).map((port) => `127.0.0.1:${port}`);
    this.monitors = ports.slice(2 * count).map((port) => `http://127.0.0.1:${port}`);
    this.directory = at;
  }

  static async start({
    nodes = 1,
    syncInterval = 'always',
    maxPayloadBytes,
  }: NatsClusterOptions = {}): Promise<NatsCluster> {
    if (NATS === undefined) throw new Error('nats-server is not installed');
    const directory = mkdtempSync(join(tmpdir(), 'lodestore-nats-'));
    const ports = await freePorts(3 * nodes);
    const routes = ports.slice(nodes, 2 * nodes).map((port) => `"nats://127.0.0.1:${port}"`);
    const processes = Array.from({ length: nodes }, (_, i) => {
      const data = join(directory, `n${i}`);
      mkdirSync(data);
      const lines = [
        `server_name: n${i}`,
        `listen: "127.0.0.1:${ports[i]}"`,
        `http: "127.0.0.1:${ports[2 * nodes + i]}"`,
        `jetstream { store_dir: "${data}/js", max_file: 4G, sync_interval: ${syncInterval} }`,
      ];
      if (maxPayloadBytes !== undefined) lines.push(`max_payload: ${maxPayloadBytes}`);
      if (nodes > 1) {
        const listen = `"127.0.0.1:${ports[nodes + i]}"`;
        lines.push(`cluster { name: c, listen: ${listen}, routes: [${routes.join(', ')}] }`);
      }
      writeFileSync(join(data, 'conf'), lines.join('\n'));
      return new EngineProcess(`n${i}`, NATS, ['-c', join(data, 'conf')], join(data, 'log'));
    });
    for (const node of processes) node.start();
    const cluster = new NatsCluster(processes, ports, directory);
    try {
      await cluster.untilReady();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async untilReady(): Promise<void> {
    for (const url of this.monitors) {
      await until(`NATS at ${url}`, async (signal) => {
        return (await fetch(`${url}/healthz`, { signal })).ok;
      });
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/**
 * Chaos test of real engines: rival writers append to one log while servers are killed, stopped,
 * and killed all at once. `npm run test:engines -- --engine etcd --seconds 60 --seed 1`. Exits with
 * code 1 if an acknowledged entry is lost, and prints the coverage.
 */
import { parseArgs } from 'node:util';
import { ETCD, EtcdCluster } from '../support/engines/etcd-cluster.ts';
import { isNatsFit, NatsCluster } from '../support/engines/nats-cluster.ts';
import { POSTGRES, PostgresServer } from '../support/engines/postgres-server.ts';
import { EtcdEngine } from '../../src/adapters/etcd/etcd-engine.ts';
import { NatsEngine } from '../../src/adapters/nats/nats-engine.ts';
import { PostgresEngine } from '../../src/adapters/postgres/postgres-engine.ts';
import { EngineChaos, type ChaosTarget } from './engine-chaos.ts';

const { values } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true, default: ['etcd', 'nats', 'postgres'] },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

const TARGETS: Readonly<Record<string, () => Promise<ChaosTarget | undefined>>> = {
  etcd: async () => {
    if (ETCD === undefined) return undefined;
    const cluster = await EtcdCluster.start({ nodes: 3 });
    const { endpoints, nodes } = cluster;
    const connect = (i: number): Promise<EtcdEngine> =>
      EtcdEngine.connect({ endpoints: [...endpoints.slice(i), ...endpoints.slice(0, i)] });
    return { nodes, connect, stop: () => cluster.stop(), restart: restart(nodes) };
  },
  nats: async () => {
    if (!isNatsFit()) return undefined;
    const cluster = await NatsCluster.start({ nodes: 3 });
    const { servers, nodes } = cluster;
    const connect = (): Promise<NatsEngine> => NatsEngine.connect({ servers });
    return { nodes, connect, stop: () => cluster.stop(), restart: restart(nodes) };
  },
  postgres: async () => {
    if (POSTGRES === undefined) return undefined;
    const server = await PostgresServer.start();
    const connect = (): Promise<PostgresEngine> =>
      PostgresEngine.connect({ servers: [server.url] });
    // The server's processes end with their parent; the server restarts after that.
    return {
      nodes: [server.node],
      connect,
      stop: () => server.stop(),
      restart: () => server.restart(),
    };
  },
};

function restart(nodes: ChaosTarget['nodes']): (i: number) => Promise<void> {
  return (i) => {
    nodes[i]!.start();
    return Promise.resolve();
  };
}

/** Beyond what was asked for: starting, the last faults, and the reader's end. */
const GRACE_SECONDS = 180;

/** A run that does not end is a failure, not a wait. */
function endLate(engine: string): NodeJS.Timeout {
  const seconds = Number(values.seconds) + GRACE_SECONDS;
  return setTimeout(() => {
    console.log(`${engine}: has not ended within ${seconds} s`);
    process.exit(1);
  }, 1_000 * seconds);
}

let failed = 0;
for (const engine of values.engine) {
  const late = endLate(engine);
  const target = await TARGETS[engine]?.();
  if (target === undefined) {
    console.log(`${engine}: skipped, it is not installed (or is older than what is supported)`);
    clearTimeout(late);
    continue;
  }
  try {
    const chaos = new EngineChaos(target, Number(values.seed));
    const report = await chaos.run(Number(values.seconds));
    console.log(`${engine}: ${JSON.stringify({ seed: Number(values.seed), ...report })}`);
    if (report.violations.length > 0 || report.acknowledged === 0) failed++;
  } finally {
    await target.stop();
    clearTimeout(late);
  }
}
process.exit(failed === 0 ? 0 : 1);

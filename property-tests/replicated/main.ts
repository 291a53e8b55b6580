import { parseArgs } from 'node:util';
import { simulateFailover } from './failover-simulation.ts';
import { runHistories, type HistoryPart } from './histories.ts';
import { plantAll } from './plant.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '80' },
    /** Only this part of each history: nodes, loss or shards. */
    part: { type: 'string' },
    mistakes: { type: 'boolean', default: false },
    /** Simulates the failover of a machine, with so many shards in the cluster. */
    failover: { type: 'string' },
    nodes: { type: 'string', default: '10' },
    'append-ms': { type: 'string', default: '1.6' },
    'map-ms': { type: 'string', default: '5' },
    /** Only mistakes whose name contains this text. */
    only: { type: 'string', default: '' },
  },
});

const print = (text: string): void => void process.stdout.write(`${text}\n`);

if (values.mistakes) {
  if ((await plantAll(values.only, print)) > 0) process.exitCode = 1;
} else if (values.failover !== undefined) {
  const report = await simulateFailover({
    seed: Number(values.seed),
    shards: Number(values.failover),
    nodes: Number(values.nodes),
    copies: 3,
    leaseMs: 3_000,
    appendMs: Number(values['append-ms']),
    mapMs: Number(values['map-ms']),
    lostAnswer: 0,
  });
  print(JSON.stringify(report));
} else {
  const { seed, histories, steps } = values;
  const part = values.part as HistoryPart | undefined;
  const run = { firstSeed: Number(seed), histories: Number(histories), steps: Number(steps), part };
  const { verdict, lines } = await runHistories(run);
  for (const line of lines) print(line);
  if (verdict !== undefined) {
    print(`broken by ${verdict.reason} after ${verdict.histories} histories`);
    print(`npm run test:replicated -- --seed ${verdict.seed} --histories 1 --steps ${steps}`);
    // A node that waits would keep the process alive.
    process.exit(1);
  }
}

import { parseArgs } from 'node:util';
import { World, type RunFigures } from './world.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '80' },
  },
});

const histories = Number(values.histories);
const firstSeed = Number(values.seed);
const steps = Number(values.steps);
const total: Record<string, number> = {};
const startMs = performance.now();

for (let seed = firstSeed; seed < firstSeed + histories; seed++) {
  const world = new World(seed);
  try {
    await world.run(steps);
  } catch (error) {
    process.stdout.write(`broken by ${String(error)} after ${seed - firstSeed} histories\n`);
    process.stdout.write(`--seed ${seed} --histories 1 --steps ${steps}\n`);
    if (error instanceof Error) process.stdout.write(`${error.stack}\n${String(error.cause)}\n`);
    process.exit(1);
  }
  for (const [name, count] of Object.entries(world.figures as RunFigures)) {
    total[name] = (total[name] ?? 0) + count;
  }
}

const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
process.stdout.write(`${histories} histories from seed ${firstSeed} in ${seconds} s\n`);
for (const [name, count] of Object.entries(total)) {
  process.stdout.write(`${name.padEnd(16)}${count.toLocaleString('en')}\n`);
}

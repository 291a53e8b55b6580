import { parseArgs } from 'node:util';
import { runHistories } from './histories.ts';
import { plantAll } from './plant.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '80' },
    mistakes: { type: 'boolean', default: false },
    /** Only mistakes whose name contains this text. */
    only: { type: 'string', default: '' },
  },
});

const print = (text: string): void => void process.stdout.write(`${text}\n`);

if (values.mistakes) {
  if ((await plantAll(values.only, print)) > 0) process.exitCode = 1;
} else {
  const { seed, histories, steps } = values;
  const run = { firstSeed: Number(seed), histories: Number(histories), steps: Number(steps) };
  const { verdict, lines } = await runHistories(run);
  for (const line of lines) print(line);
  if (verdict !== undefined) {
    print(`broken by ${verdict.reason} after ${verdict.histories} histories`);
    print(`npm run test:replicated -- --seed ${verdict.seed} --histories 1 --steps ${steps}`);
    // A node that waits would keep the process alive.
    process.exit(1);
  }
}

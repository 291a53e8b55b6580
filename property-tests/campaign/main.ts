import { Campaign, DEFAULTS } from './campaign.ts';
import { readArguments } from './arguments.ts';

const given = readArguments(process.argv.slice(2));
let toldSeconds = 0;
const campaign = new Campaign({
  ...DEFAULTS,
  ...given,
  onProgress: (figures, distinct) => {
    if (figures.seconds < toldSeconds + 10) return;
    toldSeconds = figures.seconds;
    const states = distinct.toLocaleString('en');
    process.stderr.write(
      `${figures.seconds.toFixed(0)} s: ${figures.programs} programs, ${states} distinct states\n`,
    );
  },
});
const { figures, distinct, failure, statesToFailure } = await campaign.run();
if (failure !== undefined) {
  process.stdout.write(`${failure}\n\nbroken after ${statesToFailure} distinct states\n`);
  process.exitCode = 1;
}
process.stdout.write(`${`seed`.padEnd(30)}${given.seed ?? DEFAULTS.seed}\n${figures.describe(distinct)}\n`);

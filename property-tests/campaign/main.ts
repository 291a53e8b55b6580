import { readArguments, type Arguments } from './arguments.ts';
import { Campaign, DEFAULTS } from './campaign.ts';
import { EveryCall, PATHS } from './every-call.ts';
import type { Figures } from './figures.ts';
import { LoopWatch } from './loop-watch.ts';

const TOLD_EVERY_SECONDS = 30;
const VERDICT_CHARACTERS = 90;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printBroken(verdict: string, after: string): void {
  const short =
    verdict.length > VERDICT_CHARACTERS ? `${verdict.slice(0, VERDICT_CHARACTERS)}…` : verdict;
  print(`\nbroken by ${short} after ${after}`);
  process.exitCode = 1;
}

function makeTeller(): (figures: Figures, distinct: number) => void {
  let toldSeconds = 0;
  return ({ seconds, programs }, distinct) => {
    if (seconds < toldSeconds + TOLD_EVERY_SECONDS) return;
    toldSeconds = seconds;
    const states = distinct.toLocaleString('en');
    process.stderr.write(
      `${seconds.toFixed(0)} s: ${programs} programs, ${states} distinct states\n`,
    );
  };
}

async function runPrograms(given: Arguments): Promise<void> {
  const campaign = new Campaign({ ...DEFAULTS, ...given, onProgress: makeTeller() });
  const { figures, distinct, failure, verdict, statesToFailure } = await campaign.run();
  if (failure !== undefined) print(failure);
  print(`${'seed'.padEnd(32)}${given.seed ?? DEFAULTS.seed}`);
  print(figures.describe(distinct));
  if (failure !== undefined) printBroken(verdict ?? '', `${statesToFailure} states`);
}

async function failCalls(form: 'short' | 'long', { makeFaulty }: Arguments): Promise<void> {
  for (const [name, path] of Object.entries(PATHS)) {
    const limit = 1;
    const { runs, distinct, failures } = await new EveryCall({ form, makeFaulty }).run(path, limit);
    print(`every call fails, ${name}: ${runs} runs, ${distinct} distinct states`);
    const [failure] = failures;
    if (failure === undefined) continue;
    print(failure);
    const verdict = /Violation: (.*)/.exec(failure)?.[1] ?? failure;
    printBroken(verdict, `${runs} runs with a failing call`);
    return;
  }
}

const given = readArguments(process.argv.slice(2));
const watch = new LoopWatch();
await runPrograms({ ...given, onProgram: (seed, distinct) => watch.note(seed, distinct) });
if (given.calls !== 'none' && process.exitCode === undefined) await failCalls(given.calls, given);
await watch.end();

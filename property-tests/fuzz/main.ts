/**
 * `npm run fuzz -- [--minutes 1] [--seed n] [--target name]` feeds mutated bytes to every decoder
 * and to whole directories. `--replay FILE` runs a stored input again.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { AllocationMeter } from './allocation-meter.ts';
import { Coverage } from './coverage.ts';
import { failurePath, FAILURES, keepFailure } from './failure.ts';
import { parseInput } from './fuzz-input.ts';
import { Fuzzer, type FuzzFailure } from './fuzzer.ts';
import { coverageLines, figureLines } from './report.ts';
import type { Target } from './target.ts';
import { allTargets } from './targets/all.ts';
import { Watchdog } from './watchdog.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    target: { type: 'string', multiple: true },
    replay: { type: 'string' },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`--${name} must be a number`);
  return value;
}

function chosen(targets: readonly Target[], names: readonly string[] | undefined): Target[] {
  if (names === undefined) return [...targets];
  for (const name of names) {
    if (targets.some((target) => target.name === name)) continue;
    const known = targets.map((target) => target.name).join(', ');
    throw new RangeError(`--target ${name} is none of ${known}`);
  }
  return targets.filter((target) => names.includes(target.name));
}

function report(failure: FuzzFailure, path: string): void {
  for (const line of keepFailure(failure, path)) say(line);
  process.exitCode = 1;
}

async function replay(targets: readonly Target[], path: string): Promise<void> {
  const { target, input } = parseInput(readFileSync(path, 'utf8'));
  const [chosenTarget] = chosen(targets, [target]);
  const outcome = await chosenTarget!.run(input);
  say(`${target}: ${outcome.text}`);
}

async function fuzz(targets: readonly Target[]): Promise<void> {
  const seed = wholeNumber('seed', values.seed ?? String(Date.now() % 0x8000_0000));
  const endAtMs = performance.now() + 60_000 * wholeNumber('minutes', values.minutes);
  const path = failurePath(seed);
  mkdirSync(FAILURES, { recursive: true });
  say(`seed ${seed}`);
  const coverage = new Coverage();
  coverage.start();
  const watchdog = new Watchdog(path);
  const meter = new AllocationMeter();
  meter.install();
  const fuzzer = new Fuzzer(chosen(targets, values.target), seed, meter, (target, input) =>
    watchdog.begin(target, input),
  );
  const failure = await fuzzer.run(() => performance.now() >= endAtMs);
  meter.uninstall();
  await watchdog.end();
  for (const line of figureLines(targets, fuzzer.figures)) say(line);
  say(`${process.resourceUsage().maxRSS >> 10} MiB resident at most`);
  for (const line of coverageLines(coverage.take(['format', 'log', 'snapshot', 'jobs']))) say(line);
  if (failure === undefined) say('nothing failed');
  else report(failure, path);
}

const targets = await allTargets();
if (values.replay === undefined) await fuzz(targets);
else await replay(targets, values.replay);

import { expect, onTestFinished, test } from 'vitest';
import { AllocationMeter } from './fuzz/allocation-meter.ts';
import { failurePath, keepFailure } from './fuzz/failure.ts';
import { bytesInput, bytesOf, formatInput, parseInput } from './fuzz/fuzz-input.ts';
import { Fuzzer, type FuzzFailure } from './fuzz/fuzzer.ts';
import type { Target } from './fuzz/target.ts';
import { allTargets } from './fuzz/targets/all.ts';

const SLICE_MS = 10_000;

function meterForTest(): AllocationMeter {
  const meter = new AllocationMeter();
  meter.install();
  onTestFinished(() => meter.uninstall());
  return meter;
}

test('a short run of npm run fuzz finds no failure in decoders and whole directories', async () => {
  const targets = await allTargets();
  const seed = Date.now() % 0x8000_0000;
  const fuzzer = new Fuzzer(targets, seed, meterForTest(), () => undefined);
  const endAtMs = performance.now() + SLICE_MS;
  const failure = await fuzzer.run(() => performance.now() >= endAtMs);
  const lines = failure === undefined ? [] : keepFailure(failure, failurePath(seed));
  expect(lines.join('\n')).toBe('');
  const silent = [...fuzzer.figures].filter(([, figures]) => figures.executions === 0);
  expect(silent).toEqual([]);
});

/** The error of a target with this body on its only seed. */
async function failureOf(
  run: (bytes: Uint8Array) => number,
  boundBytes: number,
): Promise<FuzzFailure | undefined> {
  const target: Target = {
    name: 'planted',
    perTurn: 1,
    seeds: [bytesInput(Uint8Array.of(1, 2, 3))],
    mutate: (_, input) => input,
    run: (input) => ({ text: String(run(bytesOf(input))), boundBytes }),
  };
  return new Fuzzer([target], 1, meterForTest(), () => undefined).run(() => true);
}

test('an exception is a failure, and its input can be read back from the file', async () => {
  const failure = await failureOf((bytes) => {
    throw new Error(`planted, ${bytes.length} bytes`);
  }, 0);
  expect(String(failure?.error)).toBe('Error: planted, 3 bytes');
  const text = formatInput('planted', failure!.input);
  expect(parseInput(text)).toEqual({ target: 'planted', input: failure!.input });
});

test('an allocation over its bound is a failure, even if the collector could free it', async () => {
  expect(await failureOf(() => new Uint8Array(1000).length, 1000)).toBeUndefined();
  const failure = await failureOf(() => new Uint32Array(251).length, 1000);
  expect(String(failure?.error)).toContain('1004 bytes asked for are within 1000');
});

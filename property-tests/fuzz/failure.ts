import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { formatInput } from './fuzz-input.ts';
import type { FuzzFailure } from './fuzzer.ts';

/** Relative to the package's directory. Not under version control. */
export const FAILURES = '.scratch/fuzz';

export function failurePath(seed: number): string {
  return `${FAILURES}/seed-${seed}.json`;
}

/** Writes a failing input to a file. Returns the text of the report. */
export function keepFailure(failure: FuzzFailure, path: string): string[] {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, formatInput(failure.target, failure.input));
  const { target, error } = failure;
  return [
    `FAILED in ${target}: ${error instanceof Error ? error.stack : String(error)}`,
    `the input is in ${path}; npm run fuzz -- --replay ${path} runs it again`,
  ];
}

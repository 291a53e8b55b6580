import type { Random } from '../../src/testing/engine/random.ts';
import type { FuzzInput } from './fuzz-input.ts';

/** A promise that was broken for an input. */
export class Violation extends Error {
  override readonly name: string = 'Violation';
}

export function check(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Violation(promise);
}

/** The outcome of an execution, and the maximum allocation that it allows. */
export interface Outcome {
  /** A phrase. Inputs with a new phrase are kept and mutated further. Numbers in it are ignored. */
  readonly text: string;
  /** Limit of all allocations together, in bytes. */
  readonly boundBytes: number;
}

/** Code under test that is fed with bytes. */
export interface Target {
  readonly name: string;
  /** Executions per turn; more for cheaper targets. */
  readonly perTurn: number;
  readonly seeds: readonly FuzzInput[];
  mutate(random: Random, input: FuzzInput): FuzzInput;
  /** Throws `Violation`, or an error that the code under test must not throw. */
  run(input: FuzzInput): Outcome | Promise<Outcome>;
}

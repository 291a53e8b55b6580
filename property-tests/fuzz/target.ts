import type { Random } from '../../src/testing/engine/random.ts';
import type { FuzzInput } from './fuzz-input.ts';

/** A promise that did not hold for an input. */
export class Violation extends Error {
  override readonly name: string = 'Violation';
}

export function check(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Violation(promise);
}

/** What an execution came to, and the most it may have asked for in typed arrays. */
export interface Outcome {
  /**
   * A phrase; inputs that lead to new ones are kept and changed further. Numbers in it do not
   * count.
   */
  readonly text: string;
  /** Bytes in all allocations together. */
  readonly boundBytes: number;
}

/** Something that is fed with bytes. */
export interface Target {
  readonly name: string;
  /** Executions before the next target's turn: the cheaper, the more. */
  readonly perTurn: number;
  readonly seeds: readonly FuzzInput[];
  mutate(random: Random, input: FuzzInput): FuzzInput;
  /** Throws `Violation`, or whatever the code under test must not throw. */
  run(input: FuzzInput): Outcome | Promise<Outcome>;
}

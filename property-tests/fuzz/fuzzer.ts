import { Random } from '../../src/testing/engine/random.ts';
import type { AllocationMeter } from './allocation-meter.ts';
import type { FuzzInput } from './fuzz-input.ts';
import { pick } from './mutation.ts';
import { check, type Target } from './target.ts';

/** CPU time limit of one execution, a hundred times what the slowest takes. */
const MAX_CPU_MS = 5_000;

/** Maximum number of inputs kept per target besides its seeds. */
const MAX_KEPT = 400;

/** Limit of the process's resident memory: five times what long runs take. */
const MAX_RESIDENT_BYTES = 1536 * 1024 * 1024;
const RESIDENT_EVERY = 512;

export interface TargetFigures {
  executions: number;
  busyMs: number;
  /** The number of executions with each outcome, ignoring numbers in its text. */
  readonly outcomes: Map<string, number>;
  kept: number;
}

export interface FuzzFailure {
  readonly target: string;
  readonly input: FuzzInput;
  readonly error: unknown;
}

interface Lane {
  readonly target: Target;
  readonly inputs: FuzzInput[];
  readonly figures: TargetFigures;
}

/**
 * Runs targets in turn with mutated inputs until `shouldEnd` or a failure. Inputs with new outcomes
 * are kept and mutated further. The sequence of inputs depends only on the seed.
 */
export class Fuzzer {
  readonly #random: Random;
  readonly #meter: AllocationMeter;
  readonly #lanes: readonly Lane[];
  /** Called before each input runs, for the watchdog. */
  readonly #onBegin: (target: string, input: FuzzInput) => void;
  #untilLook = RESIDENT_EVERY;

  constructor(
    targets: readonly Target[],
    seed: number,
    meter: AllocationMeter,
    onBegin: (target: string, input: FuzzInput) => void,
  ) {
    this.#random = new Random(seed);
    this.#meter = meter;
    this.#onBegin = onBegin;
    this.#lanes = targets.map((target) => ({
      target,
      inputs: [...target.seeds],
      figures: { executions: 0, busyMs: 0, outcomes: new Map(), kept: 0 },
    }));
  }

  get figures(): ReadonlyMap<string, TargetFigures> {
    return new Map(this.#lanes.map(({ target, figures }) => [target.name, figures]));
  }

  async run(shouldEnd: () => boolean): Promise<FuzzFailure | undefined> {
    for (const lane of this.#lanes) {
      for (const input of lane.target.seeds) {
        const failure = await this.#execute(lane, input);
        if (failure !== undefined) return failure;
      }
    }
    for (;;) {
      for (const lane of this.#lanes) {
        for (let turn = 0; turn < lane.target.perTurn; turn++) {
          if (shouldEnd()) return undefined;
          const input = lane.target.mutate(this.#random, pick(this.#random, lane.inputs));
          const failure = await this.#execute(lane, input);
          if (failure !== undefined) return failure;
        }
      }
    }
  }

  async #execute(lane: Lane, input: FuzzInput): Promise<FuzzFailure | undefined> {
    const { target, figures } = lane;
    this.#onBegin(target.name, input);
    figures.executions++;
    const begin = performance.now();
    try {
      const text = await this.#measured(target, input);
      this.#keep(lane, input, text.replace(/\d+/g, '#'));
      return undefined;
    } catch (error) {
      return { target: target.name, input, error };
    } finally {
      figures.busyMs += performance.now() - begin;
    }
  }

  async #measured(target: Target, input: FuzzInput): Promise<string> {
    const before = process.cpuUsage();
    this.#meter.reset();
    const { text, boundBytes } = await target.run(input);
    const { totalBytes } = this.#meter;
    check(totalBytes <= boundBytes, `${totalBytes} bytes asked for are within ${boundBytes}`);
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1000;
    check(cpuMs <= MAX_CPU_MS, `an execution of ${cpuMs} ms is within ${MAX_CPU_MS} ms`);
    this.#untilLook--;
    if (this.#untilLook === 0) {
      this.#untilLook = RESIDENT_EVERY;
      const { rss } = process.memoryUsage();
      check(rss <= MAX_RESIDENT_BYTES, `${rss} resident bytes are within ${MAX_RESIDENT_BYTES}`);
    }
    return text;
  }

  #keep(lane: Lane, input: FuzzInput, outcome: string): void {
    const { figures, inputs } = lane;
    const count = figures.outcomes.get(outcome) ?? 0;
    figures.outcomes.set(outcome, count + 1);
    if (count > 0 || figures.kept >= MAX_KEPT) return;
    inputs.push(input);
    figures.kept++;
  }
}

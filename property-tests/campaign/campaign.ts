import fc from 'fast-check';
import { formatTrace } from '../../src/testing/index.ts';
import { Figures } from './figures.ts';
import { StoreFactory, type FaultyFileSystem } from './store-factory.ts';
import { Checker, type CheckerOptions } from './checker.ts';
import {
  deferredProgram,
  describeProgram,
  inlineProgram,
  program,
  type Program,
} from './program.ts';
import type { MachineOptions } from './simulated-machine.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

export interface CampaignOptions {
  readonly seed: number;
  /** `deferred`: some batches are acknowledged before they are durable. Default `sync`. */
  readonly durability?: 'sync' | 'deferred' | undefined;
  /** `inline`: batches are written with blocking calls. Default `background`. */
  readonly commits?: 'background' | 'inline' | undefined;
  /** The run stops at the first limit that it reaches. */
  readonly programs: number;
  readonly states: number;
  readonly minutes: number;
  /** Crash states per stop point. */
  readonly cap: number;
  readonly tear: 'sector' | 'byte';
  readonly checker: CheckerOptions;
  readonly makeFaulty?: FaultyFileSystem | undefined;
  /** Whether to search for the shortest failing program. Default true. */
  readonly shrinks?: boolean;
  readonly onProgress?: ((figures: Figures, distinct: number) => void) | undefined;
  /** A program of a seed starts. */
  readonly onProgram?: ((seed: number, distinct: number) => void) | undefined;
}

export const DEFAULTS: CampaignOptions = {
  seed: 1,
  programs: Infinity,
  states: Infinity,
  minutes: Infinity,
  cap: 300,
  tear: 'sector',
  checker: { thoroughEvery: 10, nestedEvery: 200, nestedCap: 40, nestedDepth: 1 },
};

export interface CampaignResult {
  readonly figures: Figures;
  readonly distinct: number;
  /** The shrunk failure as text. */
  readonly failure: string | undefined;
  /** The first line of the violation. */
  readonly verdict: string | undefined;
  /** Distinct states recovered before the first violation, not counting shrinking. */
  readonly statesToFailure: number | undefined;
}

const PROGRAMS_PER_CHECK = 20;
const TRACE_LINES = 60;
const STACK_LINES = 12;

/** Runs programs until a limit is reached or a program breaks a promise. */
export class Campaign {
  readonly #options: CampaignOptions;
  readonly #factory: StoreFactory;
  readonly #figures: Figures = new Figures();
  readonly #checker: Checker;
  #statesToFailure: number | undefined;
  #verdict: string | undefined;
  #lastTrace = '';

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#factory = new StoreFactory(options.makeFaulty);
    this.#checker = new Checker(this.#factory, options.checker, this.#figures);
  }

  async run(): Promise<CampaignResult> {
    const { stackTraceLimit } = Error;
    // Stacks are expensive, and most errors are expected. Shrinking enables them again.
    Error.stackTraceLimit = 0;
    try {
      return await this.#runAll();
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  async #runAll(): Promise<CampaignResult> {
    const strays: unknown[] = [];
    const onStray = (error: unknown) => strays.push(error);
    process.on('unhandledRejection', onStray);
    try {
      for (let round = 0; !this.#isOver; round++) {
        const failure = await this.#check(this.#options.seed + round, strays);
        if (failure !== undefined) return this.#result(failure);
      }
      return this.#result(undefined);
    } finally {
      process.off('unhandledRejection', onStray);
    }
  }

  #result(failure: string | undefined): CampaignResult {
    const { size: distinct } = this.#checker.known;
    return {
      figures: this.#figures,
      distinct,
      failure,
      verdict: this.#verdict,
      statesToFailure: this.#statesToFailure,
    };
  }

  get #isOver(): boolean {
    const { programs, states, minutes } = this.#options;
    const { figures } = { figures: this.#figures };
    return (
      figures.programs >= programs ||
      this.#checker.known.size >= states ||
      figures.seconds >= 60 * minutes
    );
  }

  get #programs(): fc.Arbitrary<Program> {
    const { commits, durability } = this.#options;
    if (commits === 'inline') return inlineProgram;
    return durability === 'deferred' ? deferredProgram : program;
  }

  async #check(seed: number, strays: unknown[]): Promise<string | undefined> {
    const property = fc.asyncProperty(this.#programs, async (made) => {
      if (this.#statesToFailure === undefined && this.#isOver) return;
      this.#options.onProgram?.(seed, this.#checker.known.size);
      await this.#runProgram(made, strays);
    });
    const endOnFailure = this.#options.shrinks === false;
    const details = await fc.check(property, { seed, numRuns: PROGRAMS_PER_CHECK, endOnFailure });
    if (!details.failed) return undefined;
    const [shrunk] = details.counterexample ?? [];
    const error = details.errorInstance;
    return [
      `seed ${seed}, path ${details.counterexamplePath}, shrunk ${details.numShrinks} times`,
      shrunk === undefined ? '' : describeProgram(shrunk),
      error instanceof Error ? explain(error) : String(error),
      this.#lastTrace,
    ].join('\n\n');
  }

  async #runProgram(made: Program, strays: unknown[]): Promise<void> {
    const { cap, seed, tear } = this.#options;
    const machineOptions: MachineOptions = { cap, seed, tear, statesEvery: 1 };
    const world = new World(made.settings, this.#factory, machineOptions);
    try {
      await world.start();
      for (const command of made.commands) await world.run(command);
      await world.finish();
      await new Promise((go) => setImmediate(go));
      if (strays.length > 0) {
        throw new Violation('F2', `nobody handles a rejection: ${String(strays[0])}`, strays.pop());
      }
      for (const stopPoint of world.simulated.stopPoints) await this.#checker.check(stopPoint);
      this.#figures.programs++;
      this.#options.onProgress?.(this.#figures, this.#checker.known.size);
    } catch (error) {
      this.#statesToFailure ??= this.#checker.known.size;
      Error.stackTraceLimit = STACK_LINES;
      this.#verdict = String(error instanceof Violation ? error.message : error).split('\n')[0];
      strays.length = 0;
      const lines = formatTrace(world.simulated.machine.trace).split('\n');
      this.#lastTrace = ['the last calls:', ...lines.slice(-TRACE_LINES)].join('\n');
      throw error;
    }
  }
}

function explain(error: Error): string {
  const told = error instanceof Violation ? error.message : (error.stack ?? error.message);
  const { cause } = error;
  return cause instanceof Error ? `${told}\n\ncaused by ${cause.stack ?? cause.message}` : told;
}

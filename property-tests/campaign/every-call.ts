import { countCalls, formatTrace, type CallKind, type FaultRule } from '../../src/testing/index.ts';
import type { BatchDurability } from '../../src/index.ts';
import { Figures } from './figures.ts';
import { StoreFactory, type FaultyFileSystem } from './store-factory.ts';
import { Checker } from './checker.ts';
import type { Command, Program, Settings } from './program.ts';
import type { Op } from './state.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

const SETTINGS: Settings = {
  model: 'posix',
  schedulerSeed: 1,
  rotateBytes: 64 * 1024,
  mergeBytes: 2 ** 40,
  reserveBytes: 512,
  disk: 'endless',
};

const batch = (size: number, ...keys: number[]): Extract<Command, { kind: 'batch' }> => ({
  kind: 'batch',
  ops: keys.map((key): Op => ({ key, size })),
  wait: true,
});

const burst = (size: number, ...keys: number[]): Command => ({
  kind: 'burst',
  batches: keys.map((key) => [{ key, size }]),
  wait: true,
});

const now = (
  durability: BatchDurability | undefined,
  ...batches: (readonly [size: number, ...keys: number[]])[]
): Command => ({
  kind: 'now',
  batches: batches.map(([size, ...keys]) => keys.map((key): Op => ({ key, size }))),
  durability,
});

const merge: Command = { kind: 'merge', wait: true };
const mergeBeside: Command = { kind: 'merge', wait: false };
const reopen: Command = { kind: 'reopen' };

/** Short programs that together cover every code path that makes calls. */
export const PATHS: Readonly<Record<string, Program>> = {
  commit: {
    settings: SETTINGS,
    commands: [batch(40, 0, 1), burst(300, 1, 2, 3), batch(-1, 0)],
  },
  growth: {
    settings: SETTINGS,
    commands: [batch(5_000, 0), batch(2_000, 1), batch(700, 2), batch(40, 3)],
  },
  rotation: {
    settings: { ...SETTINGS, rotateBytes: 200 },
    commands: [batch(300, 0), batch(300, 1), burst(40, 2, 3), batch(7, 4), reopen, batch(7, 5)],
  },
  merge: {
    settings: SETTINGS,
    commands: [batch(300, 0, 1), merge, batch(40, 1, 2), batch(-1, 0), merge, merge, batch(7, 3)],
  },
  'retried merges': {
    settings: { ...SETTINGS, rotateBytes: 200 },
    commands: [batch(300, 0), merge, batch(300, 1), merge, batch(-1, 0), merge, reopen, merge],
  },
  'merge beside commits': {
    settings: { ...SETTINGS, rotateBytes: 200 },
    commands: [
      batch(300, 0),
      mergeBeside,
      burst(40, 1, 2),
      batch(300, 3),
      mergeBeside,
      batch(7, 4),
    ],
  },
  'automatic merges': {
    settings: { ...SETTINGS, rotateBytes: 200, mergeBytes: 1 },
    commands: [batch(300, 0), batch(300, 1), batch(300, 0), batch(40, 2), reopen, batch(7, 3)],
  },
  'deferred commits': {
    settings: { ...SETTINGS, rotateBytes: 1_500, durability: { syncEveryMs: 1_000 } },
    commands: [
      batch(40, 0, 1),
      batch(300, 1),
      { kind: 'sync', wait: true },
      burst(300, 2, 3),
      { ...batch(40, 0), durability: 'sync' },
      batch(700, 4),
      { kind: 'tick' },
      batch(2_000, 5),
      batch(40, 6),
    ],
  },
  'inline commits': {
    settings: { ...SETTINGS, rotateBytes: 1_500, commits: 'inline' },
    commands: [
      now(undefined, [40, 0, 1], [300, 1], [-1, 0]),
      now('deferred', [300, 2], [700, 3]),
      now('sync', [40, 4]),
      batch(2_000, 5),
      mergeBeside,
      now(undefined, [40, 6]),
      { kind: 'settle' },
      now(undefined, [700, 7], [5_000, 8], [40, 9]),
      merge,
      reopen,
      now(undefined, [7, 1]),
    ],
  },
  'recovery of deferred commits': {
    settings: { ...SETTINGS, durability: { syncEveryMs: 1_000 } },
    commands: [batch(700, 0), batch(300, 1), batch(40, 2), { kind: 'kill' }, batch(7, 3), reopen],
  },
  recovery: {
    settings: { ...SETTINGS, rotateBytes: 1_500 },
    commands: [
      batch(2_000, 0),
      merge,
      batch(700, 1),
      { kind: 'kill' },
      batch(40, 2),
      reopen,
      batch(7, 3),
    ],
  },
};

/** Kinds that a program may not call at all. */
const GROWING: readonly CallKind[] = [
  'open',
  'write',
  'writeSync',
  'dataSync',
  'truncate',
  'rename',
  'makeDirectory',
  'syncDirectory',
  'tryLock',
];
const NAME_CALLS: readonly CallKind[] = ['rename', 'unlink', 'makeDirectory', 'truncate'];
const ERRORS = ['EIO', 'ENOSPC', 'EDQUOT', 'EMFILE', 'EROFS'] as const;

export interface EveryCallOptions {
  /**
   * `short`: the two errors that the store distinguishes. `long`: all errors, and every crash
   * state.
   */
  readonly form: 'short' | 'long';
  /** Only each `every`-th way to fail is tried, starting with number `first`. Default: all. */
  readonly every?: number;
  readonly first?: number;
  readonly makeFaulty?: FaultyFileSystem | undefined;
}

export interface EveryCallResult {
  readonly runs: number;
  readonly distinct: number;
  readonly failures: readonly string[];
}

/** The ways in which one call of this kind can fail. */
function waysToFail(call: CallKind, nth: number, form: 'short' | 'long'): FaultRule[] {
  const errors = form === 'long' ? ERRORS : ERRORS.slice(0, GROWING.includes(call) ? 2 : 1);
  const rules: FaultRule[] = errors.flatMap((error) => [
    { call, nth, error },
    { call, nth, error, mode: 'sticky' as const },
  ]);
  if (call === 'open' && form === 'short') rules.push({ call, nth, error: 'EMFILE' });
  if (call === 'write') {
    rules.push({ call, nth, error: 'ENOSPC', mode: 'short' });
    rules.push({ call, nth, error: 'ENOSPC', mode: 'short', appliedBytes: 1 });
    rules.push({ call, nth, error: 'EIO', appliedBytes: 100 });
    rules.push({ call, nth, error: 'EFBIG', mode: 'short' });
  }
  if (call === 'dataSync' || call === 'writeSync')
    rules.push({ call, nth, error: 'EIO', revert: true });
  if (NAME_CALLS.includes(call)) rules.push({ call, nth, error: 'EIO', takesEffect: true });
  return rules;
}

/** Runs a program once for each of its calls and each way in which that call can fail. */
export class EveryCall {
  readonly #options: EveryCallOptions;
  readonly #factory: StoreFactory;
  readonly #checker: Checker;
  #runs = 0;

  constructor(options: EveryCallOptions) {
    this.#options = options;
    this.#factory = new StoreFactory(options.makeFaulty);
    const judging = { thoroughEvery: 10, nestedEvery: 500, nestedCap: 10, nestedDepth: 1 };
    this.#checker = new Checker(this.#factory, judging, new Figures());
  }

  /** Stops after a few failures: the first ones are enough. */
  async run(program: Program, limit = 3): Promise<EveryCallResult> {
    const failures: string[] = [];
    const { first = 1, every = 1 } = this.#options;
    let untilNext = first;
    for (const rule of this.#rules(await this.#count(program))) {
      if (--untilNext > 0) continue;
      untilNext = every;
      const failure = await this.#runOnce(program, rule);
      if (failure !== undefined) failures.push(failure);
      if (failures.length >= limit) break;
    }
    return { runs: this.#runs, distinct: this.#checker.known.size, failures };
  }

  /** Every way in which every call can fail. */
  *#rules(counts: ReadonlyMap<CallKind, number>): Generator<FaultRule> {
    for (const [call, count] of counts) {
      for (let nth = 1; nth <= count; nth++) yield* waysToFail(call, nth, this.#options.form);
    }
  }

  async #count(program: Program): Promise<Map<CallKind, number>> {
    const world = this.#makeWorld(program);
    await world.start();
    const machines = new Set([world.simulated.machine]);
    for (const command of program.commands) {
      await world.run(command);
      machines.add(world.simulated.machine);
    }
    await world.finish();
    const counts = new Map<CallKind, number>();
    for (const { trace } of machines) {
      for (const [kind, count] of countCalls(trace))
        counts.set(kind, (counts.get(kind) ?? 0) + count);
    }
    return counts.set('writeSync', counts.get('write') ?? 0);
  }

  #makeWorld(program: Program): World {
    const [cap, statesEvery] = this.#options.form === 'long' ? [60, 2] : [12, 6];
    return new World(program.settings, this.#factory, {
      cap,
      statesEvery,
      seed: 1,
      tear: 'sector',
    });
  }

  async #runOnce(program: Program, rule: FaultRule): Promise<string | undefined> {
    this.#runs++;
    const world = this.#makeWorld(program);
    const strays: unknown[] = [];
    const onStray = (error: unknown) => strays.push(error);
    process.on('unhandledRejection', onStray);
    try {
      await world.start(rule);
      for (const command of program.commands) await world.run(command);
      await world.finish();
      await new Promise((go) => setImmediate(go));
      if (strays.length > 0)
        throw new Violation('F2', `nobody handles ${String(strays[0])}`, strays[0]);
      for (const stopPoint of world.simulated.stopPoints) await this.#checker.check(stopPoint);
      return undefined;
    } catch (error) {
      const trace = formatTrace(world.simulated.machine.trace).split('\n').slice(-40).join('\n');
      return `${JSON.stringify(rule)}\n${error instanceof Error ? error.stack : String(error)}\n${trace}`;
    } finally {
      process.off('unhandledRejection', onStray);
    }
  }
}

import fc from 'fast-check';
import type { BatchDurability, StoreDurability } from '../../src/index.ts';
import type { CallKind, CrashModel, FaultRule } from '../../src/testing/index.ts';
import { HOT_BYTES, KEYS, type Op } from './state.ts';

export interface Settings {
  readonly model: CrashModel;
  readonly schedulerSeed: number;
  readonly rotateBytes: number;
  readonly mergeBytes: number;
  readonly reserveBytes: number;
  /** `limited`: a disk that can become full. */
  readonly disk: 'endless' | 'limited';
  /** The store's option. Default `sync`. */
  readonly durability?: StoreDurability;
  /** The store's option. `in turn`: inline at every second open. Default `background`. */
  readonly commits?: 'background' | 'inline' | 'in turn';
  /** Whether a follower reads beside the writer, in one program of a few. */
  readonly isFollowed?: boolean;
}

export type Command =
  /** With `wait: false`, the batch stays in flight while the program continues. */
  | {
      readonly kind: 'batch';
      readonly ops: readonly Op[];
      readonly wait: boolean;
      readonly durability?: BatchDurability | undefined;
    }
  | {
      readonly kind: 'burst';
      readonly batches: readonly (readonly Op[])[];
      readonly wait: boolean;
      /** Durability of each batch. Default: the store's option. */
      readonly durabilities?: readonly (BatchDurability | undefined)[];
    }
  /** With `insertBatchSync` if commits are inline; else as `batch`, awaited. */
  | {
      readonly kind: 'now';
      readonly batches: readonly (readonly Op[])[];
      readonly durability?: BatchDurability | undefined;
    }
  | { readonly kind: 'sync'; readonly wait: boolean }
  /** Fires the timer of deferred batches, if it runs. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'merge'; readonly wait: boolean }
  | { readonly kind: 'settle' }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'second-open' }
  /** Another process opens the store to read it. */
  /** `merging`: a merge begins just before, which removes and renames what is being read. */
  | { readonly kind: 'read-beside'; readonly merging: boolean }
  /**
   * A pause longer than the lease. `rings`: the timer notices it. `isLost`: the lease cannot be
   * renewed afterwards, so the store is fenced.
   */
  | { readonly kind: 'pause'; readonly rings: boolean; readonly isLost: boolean }
  /** The batches are inserted while the directory, or the live log, has another name. */
  | {
      readonly kind: 'move';
      readonly what: 'directory' | 'live log';
      readonly batches: readonly (readonly Op[])[];
    }
  /** The store merges while callers repeat refused batches at once. */
  | { readonly kind: 'repeat'; readonly callers: number }
  | { readonly kind: 'fail'; readonly rule: FaultRule }
  | { readonly kind: 'heal' }
  | { readonly kind: 'fill'; readonly freeBytes: number }
  | { readonly kind: 'free' }
  | { readonly kind: 'abort' }
  | { readonly kind: 'crash'; readonly choices: readonly number[] }
  | { readonly kind: 'kill' }
  | {
      readonly kind: 'crash-during-open';
      /** The choices of the crash before; undefined for a kill. */
      readonly before: readonly number[] | undefined;
      /** The crash point of the open at which it crashes again. */
      readonly nth: number;
      readonly choices: readonly number[];
    };

export interface Program {
  readonly settings: Settings;
  readonly commands: readonly Command[];
}

const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.record({
    key: fc.nat(KEYS.length - 1),
    size: fc.oneof(
      { weight: 24, arbitrary: fc.constantFrom(0, -1, 7, 40, 300, 700, 2_000, 5_000) },
      { weight: 2, arbitrary: fc.constantFrom(-2, -4, -KEYS.length) },
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

const choices: fc.Arbitrary<number[]> = fc.array(fc.nat(9), { maxLength: 12 });

/** The most important kinds are the most frequent. */
const FAILING: readonly CallKind[] = [
  ...(['write', 'writeSync', 'dataSync', 'syncDirectory'] as const).flatMap((call) => [
    call,
    call,
    call,
  ]),
  'open',
  'rename',
  'unlink',
  'truncate',
  'read',
  'stat',
  'close',
  'readDirectory',
  'freeBytes',
  'makeDirectory',
  'tryLock',
  'takeLease',
];

const rule: fc.Arbitrary<FaultRule> = fc
  .record({
    call: fc.constantFrom(...FAILING),
    nth: fc.integer({ min: 1, max: 6 }),
    error: fc.constantFrom('EIO', 'ENOSPC', 'EDQUOT', 'EMFILE', 'EROFS', 'EFBIG'),
    mode: fc.constantFrom('once', 'once', 'short', 'sticky'),
    takesEffect: fc.boolean(),
    appliedBytes: fc.constantFrom(0, 1, 511, 600),
    revert: fc.boolean(),
  })
  .map((made) => ({
    ...made,
    mode: made.mode === 'short' && made.call !== 'write' ? 'once' : made.mode,
    // A lock that is taken by a failing call is closed at once, and therefore free, on any system.
    takesEffect: made.takesEffect && made.call !== 'tryLock',
    path: /^(?!\/ballast)/,
  }));

const wait = fc.boolean();

/** Notes double what a crash may leave of the lock file: not every program has them. */
const FOLLOWED_EVERY = 5;

/** A few keys that are overwritten repeatedly, so that their rows in memory make a merge due. */
const hot: fc.Arbitrary<Command> = fc
  .record({
    key: fc.nat(KEYS.length - 2),
    batches: fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 4,
    }),
    wait,
  })
  .map(({ key, batches, wait: isAwaited }) => ({
    kind: 'burst',
    batches: batches.map((rows) =>
      rows.map((isNext) => ({ key: isNext ? key + 1 : key, size: HOT_BYTES })),
    ),
    wait: isAwaited,
  }));

/** Batches whose rows are read and indexed in several slices, with pauses between them. */
const wide: fc.Arbitrary<Command> = fc.record({
  kind: fc.constant('burst'),
  batches: fc.array(
    fc.array(fc.record({ key: fc.nat(KEYS.length - 1), size: fc.constantFrom(0, -1, 7) }), {
      minLength: 65,
      maxLength: 140,
    }),
    { minLength: 1, maxLength: 3 },
  ),
  wait,
});

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('batch'), ops, wait }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('burst'),
      batches: fc.array(ops, { minLength: 2, maxLength: 5 }),
      wait,
    }),
  },
  { weight: 2, arbitrary: hot },
  { weight: 1, arbitrary: wide },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('merge'), wait }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reopen') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('second-open') }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('read-beside'), merging: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('pause'),
      rings: fc.boolean(),
      isLost: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('move'),
      what: fc.constantFrom('directory', 'live log'),
      batches: fc.array(ops, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('repeat'), callers: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fail'), rule }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('heal') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fill'),
      freeBytes: fc.constantFrom(0, 100, 600, 3_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('free') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash'), choices }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('crash-during-open'),
      before: fc.option(choices, { nil: undefined }),
      nth: fc.integer({ min: 1, max: 8 }),
      choices,
    }),
  },
);

const settings: fc.Arbitrary<Settings> = fc
  .record({
    model: fc.constantFrom('posix', 'ordered', 'linked'),
    schedulerSeed: fc.nat(1_000),
    rotateBytes: fc.constantFrom(1_500, 200, 10_000, 64 * 1024),
    mergeBytes: fc.constantFrom(2 ** 40, 3_000, 1),
    reserveBytes: fc.constantFrom(512, 2_048, 4_096),
    disk: fc.constantFrom('endless', 'limited'),
  })
  .map((made) => ({ ...made, isFollowed: made.schedulerSeed % FOLLOWED_EVERY === 0 }));

export const program: fc.Arbitrary<Program> = fc.record({
  settings,
  commands: fc.array(command, { minLength: 3, maxLength: 14, size: 'max' }),
});

const durability = fc.constantFrom<BatchDurability | undefined>(undefined, 'deferred', 'sync');

const deferredCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('batch'), ops, wait, durability }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('burst'),
      batches: fc.array(ops, { minLength: 2, maxLength: 5 }),
      durabilities: fc.array(durability, { minLength: 1, maxLength: 5 }),
      wait,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sync'), wait }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick') }) },
  // Deferred batches wait for their sync when the store is fenced.
  {
    weight: 2,
    arbitrary: fc.constant<Command>({ kind: 'pause', rings: true, isLost: true }),
  },
  { weight: 16, arbitrary: command },
);

/** Programs in which batches are acknowledged before they are durable. */
export const deferredProgram: fc.Arbitrary<Program> = fc.record({
  settings: fc
    .record({
      made: settings,
      durability: fc.constantFrom<StoreDurability>({ syncEveryMs: 1_000 }, 'sync'),
    })
    .map(({ made, ...rest }) => ({ ...made, ...rest })),
  commands: fc.array(deferredCommand, { minLength: 3, maxLength: 14, size: 'max' }),
});

const inlineCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('now'),
      batches: fc.array(ops, { minLength: 1, maxLength: 4 }),
      durability,
    }),
  },
  { weight: 30, arbitrary: deferredCommand },
);

/** Programs in which batches are written with blocking calls. */
export const inlineProgram: fc.Arbitrary<Program> = fc.record({
  settings: fc
    .record({
      made: settings,
      durability: fc.constantFrom<StoreDurability>('sync', { syncEveryMs: 3_600_000 }),
      commits: fc.constantFrom('inline', 'inline', 'in turn'),
    })
    .map(({ made, ...rest }) => ({ ...made, ...rest })),
  commands: fc.array(inlineCommand, { minLength: 3, maxLength: 14, size: 'max' }),
});

/** A program as lines, for the report of a failing run. */
export function describeProgram({ settings: made, commands }: Program): string {
  const lines = commands.map(describeCommand);
  return [JSON.stringify(made), ...lines.map((line, index) => `  ${index + 1}. ${line}`)].join(
    '\n',
  );
}

function describeCommand(made: Command): string {
  return JSON.stringify(made, (_key, value: unknown) =>
    value instanceof RegExp ? value.source : value,
  );
}

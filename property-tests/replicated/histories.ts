import { LossHistory } from './loss-history.ts';
import { ShardWorld } from './shard-world.ts';
import { World } from './world.ts';

/** A part of each history, named for `--part`. */
export type HistoryPart = 'nodes' | 'loss' | 'shards';

export interface HistoriesOptions {
  readonly firstSeed: number;
  readonly histories: number;
  readonly steps: number;
  /** Default: all. */
  readonly part?: HistoryPart | undefined;
}

export interface HistoriesResult {
  /** Undefined if every history kept every promise. */
  readonly verdict:
    { readonly reason: string; readonly seed: number; readonly histories: number } | undefined;
  /** The coverage of the histories, as text. */
  readonly lines: readonly string[];
}

const SHARDS_EVERY = 3;

/** Runs histories with consecutive seeds until one breaks a promise. */
export async function runHistories(options: HistoriesOptions): Promise<HistoriesResult> {
  const { firstSeed, histories, steps, part } = options;
  const total = new Map<string, number>();
  const startMs = performance.now();
  for (let done = 0; done < histories; done++) {
    const seed = firstSeed + done;
    const world = new World(seed);
    const shards = new ShardWorld(seed);
    try {
      if (part === undefined || part === 'nodes') await world.run(steps);
      if (part === undefined || part === 'loss') await new LossHistory(seed).run();
      // Three nodes with three shards each take longer.
      const isTurn = part === undefined && seed % SHARDS_EVERY === 0;
      if (isTurn || part === 'shards') await shards.run(Math.ceil(steps / 2));
    } catch (error) {
      const lines = error instanceof Error ? [String(error.stack), String(error.cause)] : [];
      return { verdict: { reason: String(error), seed, histories: done }, lines };
    }
    for (const [name, count] of Object.entries({ ...world.figures, ...shards.figures })) {
      total.set(name, (total.get(name) ?? 0) + count);
    }
  }
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  const lines = [`${histories} histories from seed ${firstSeed} in ${seconds} s`];
  for (const [name, count] of total) lines.push(`${name.padEnd(16)}${count.toLocaleString('en')}`);
  return { verdict: undefined, lines };
}

import { LossHistory } from './loss-history.ts';
import { World } from './world.ts';

export interface HistoriesOptions {
  readonly firstSeed: number;
  readonly histories: number;
  readonly steps: number;
}

export interface HistoriesResult {
  /** Undefined if every history kept every promise. */
  readonly verdict:
    { readonly reason: string; readonly seed: number; readonly histories: number } | undefined;
  /** The coverage of the histories, as text. */
  readonly lines: readonly string[];
}

/** Runs histories with consecutive seeds until one breaks a promise. */
export async function runHistories(options: HistoriesOptions): Promise<HistoriesResult> {
  const { firstSeed, histories, steps } = options;
  const total = new Map<string, number>();
  const startMs = performance.now();
  for (let done = 0; done < histories; done++) {
    const seed = firstSeed + done;
    const world = new World(seed);
    try {
      await world.run(steps);
      await new LossHistory(seed).run();
    } catch (error) {
      const lines = error instanceof Error ? [String(error.stack), String(error.cause)] : [];
      return { verdict: { reason: String(error), seed, histories: done }, lines };
    }
    for (const [name, count] of Object.entries(world.figures)) {
      total.set(name, (total.get(name) ?? 0) + count);
    }
  }
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  const lines = [`${histories} histories from seed ${firstSeed} in ${seconds} s`];
  for (const [name, count] of total) lines.push(`${name.padEnd(16)}${count.toLocaleString('en')}`);
  return { verdict: undefined, lines };
}

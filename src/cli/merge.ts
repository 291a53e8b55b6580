import { clearInterval, monotonicMs, setInterval } from '../base/timers.ts';
import { MetadataStore } from '../store/metadata-store.ts';
import type { CommandContext } from './output/command-context.ts';
import { InterruptedError } from './output/command-errors.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { refuseReplica } from './refuse-replica.ts';
import { countOf, formatBytes, formatMilliseconds } from './output/number-text.ts';

export interface MergeOptions {
  readonly json?: true;
}

const LOOK_MS = 100;

interface Merged {
  readonly directory: string;
  readonly records: number;
  readonly logs: number;
  readonly logBytes: number;
  readonly snapshotBytesBefore: number;
  readonly snapshotBytes: number;
  readonly milliseconds: number;
}

/**
 * Merges the logs. If it is interrupted, the store remains as before, with the old snapshot and all
 * logs.
 */
export async function mergeStore(
  context: CommandContext,
  directory: string,
  options: MergeOptions,
): Promise<number> {
  const { signal, bar } = context;
  const startMs = monotonicMs();
  await refuseReplica(context.fs, directory);
  const store = await MetadataStore.open(directory, {
    createIfMissing: false,
    // Disables automatic merges.
    mergeBytes: Number.MAX_SAFE_INTEGER,
    signal,
    onProgress: (progress) => bar.report(progress),
  });
  try {
    const { logs, merges } = store.stats();
    await mergeWatched(context, store, logs.bytes + merges.snapshotBytes);
    bar.clear();
    const merged: Merged = {
      directory,
      records: store.size,
      logs: logs.count,
      logBytes: logs.bytes,
      snapshotBytesBefore: merges.snapshotBytes,
      snapshotBytes: store.stats().merges.snapshotBytes,
      milliseconds: monotonicMs() - startMs,
    };
    context.out.line(options.json === true ? toJson(merged, 2) : textOf(merged));
  } finally {
    await store.close();
  }
  await context.out.flush();
  return EXIT_OK;
}

async function mergeWatched(
  { signal, bar }: CommandContext,
  store: MetadataStore,
  totalBytes: number,
): Promise<void> {
  const look = setInterval(() => {
    const { progressBytes: doneBytes } = store.stats().merges;
    bar.report({ phase: 'merge', doneBytes, totalBytes });
  }, LOOK_MS);
  // `mergeStore` closes the store too, and reports a failure.
  const stop = (): void => void store.close().catch(() => undefined);
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    await store.merge();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new InterruptedError('interrupted; nothing has been merged and nothing is lost');
  } finally {
    clearInterval(look);
    signal.removeEventListener('abort', stop);
  }
}

function textOf(merged: Merged): string {
  const { records, logs, logBytes, snapshotBytesBefore, snapshotBytes, milliseconds } = merged;
  if (logs === 0) return `Nothing to merge: the snapshot holds all ${countOf(records, 'record')}.`;
  const before = `${countOf(logs, 'log')} of ${formatBytes(logBytes)} and a snapshot of ${formatBytes(snapshotBytesBefore)}`;
  const after = `a snapshot of ${formatBytes(snapshotBytes)} with ${countOf(records, 'record')}`;
  return `Merged ${before} into ${after} in ${formatMilliseconds(milliseconds)}.`;
}

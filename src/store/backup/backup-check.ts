import { CorruptionError } from '../../base/errors.ts';
import { contentHashText } from '../../format/content-sum.ts';
import { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { ContentCount } from '../../table/scan/content-count.ts';
import { Table } from '../../table/table.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import { ProgressMeter } from '../recovery/progress-meter.ts';
import { recover, recoveredColumns } from '../recovery/recovery.ts';

/** The content of a copy of a store. */
export interface CopyContent {
  readonly lastSequence: bigint;
  readonly records: number;
  /** As in `MetadataStore.contentHash`. */
  readonly contentHash: string;
}

export interface CheckHooks {
  /** Makes the runner that reads the copy in `directory`. */
  readonly makeRunner: (directory: Directory) => JobRunner | Promise<JobRunner>;
  /** Yields to other work of the process. */
  readonly pause: () => Promise<void>;
  readonly signal: AbortSignal | undefined;
  /** Called with the number of bytes read so far. */
  readonly onProgress: (doneBytes: number) => void;
}

/** Reads the copy in `directory` from disk, as recovery would. Changes nothing. */
export async function readCopy(
  fs: FileSystem,
  directory: string,
  hooks: CheckHooks,
): Promise<CopyContent> {
  const copy = await Directory.open(fs, directory);
  try {
    const runner = await hooks.makeRunner(copy);
    try {
      return await recoverCopy(copy, runner, hooks);
    } finally {
      await runner.close();
    }
  } finally {
    await copy.close();
  }
}

async function recoverCopy(
  copy: Directory,
  runner: JobRunner,
  hooks: CheckHooks,
): Promise<CopyContent> {
  const signal = hooks.signal ?? new AbortController().signal;
  let logsBytes = 0;
  const progress = new ProgressMeter(({ phase, doneBytes }) => {
    if (phase === 'logs') logsBytes = doneBytes;
    hooks.onProgress(phase === 'logs' ? doneBytes : logsBytes + doneBytes);
  });
  const { pause } = hooks;
  const files = { fs: copy, directory: copy.realPath, acceptIncomplete: true };
  const state = await recover({ ...files, runner, signal, progress, pause });
  const table = new Table(recoveredColumns(state));
  const { lastSequence } = state.verdict.last;
  const contentHash = await finishCount(table.countContent(), hooks);
  return { lastSequence, records: state.recordCount, contentHash };
}

/** Completes a count of the live store's records. */
export async function finishCount(
  count: ContentCount,
  hooks: Pick<CheckHooks, 'pause' | 'signal'>,
): Promise<string> {
  while (count.step()) {
    await hooks.pause();
    hooks.signal?.throwIfAborted();
  }
  return contentHashText(count.value);
}

/** Throws CorruptionError if the content of the copy differs from that of its source. */
export function requireSameContent(
  directory: string,
  copy: CopyContent,
  wanted: Partial<CopyContent>,
): void {
  const names = ['lastSequence', 'records', 'contentHash'] as const;
  const different = names.find((name) => (wanted[name] ?? copy[name]) !== copy[name]);
  if (different === undefined) return;
  const reason =
    `the copy differs from the store: ${different} is ${copy[different]} ` +
    `and should be ${wanted[different]}`;
  const hint = 'The copy has been removed. Run "lodestore verify" on the store itself';
  throw new CorruptionError({ path: directory, offset: 0, reason, hint });
}

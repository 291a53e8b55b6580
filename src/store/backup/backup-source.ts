import { join } from 'node:path';
import { logName, snapshotName } from '../../format/file-name.ts';
import type { Directory } from '../../fs/directory.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { scanLog } from '../../log/log-scan.ts';
import type { ProgressMeter } from '../recovery/progress-meter.ts';
import {
  holdsStore,
  judgeDirectory,
  noStoreError,
  readDirectoryState,
  requireUndamaged,
} from '../recovery/directory-state.ts';
import { readSettled } from '../recovery/settled-reading.ts';
import type { LoadedLog } from '../recovery/verdict.ts';

/** A file that makes part of a state, by its length at that moment. */
export interface StateFile {
  readonly name: string;
  readonly lengthBytes: number;
  /**
   * `immutable`: nobody ever writes to it again. `last`: the last log, which is written in place
   * while it lives, and by recovery afterwards.
   */
  readonly kind: 'immutable' | 'last';
}

/** What a state consists of. */
export interface State {
  readonly storeId: Uint8Array;
  /** Sequence number of its last batch. */
  readonly lastSequence: bigint;
  readonly files: readonly StateFile[];
}

/** A state whose files are held open: a merge may remove their names, their bytes stay. */
export interface BackupSource extends State {
  readonly directory: string;
  readonly files: readonly (StateFile & { readonly file: OpenFile })[];
}

/** The files of a snapshot and of the logs after it, oldest first. */
export function stateFiles(
  snapshot: { readonly number: number; readonly fileBytes: number } | undefined,
  logs: readonly { readonly number: number; readonly lengthBytes: number }[],
): StateFile[] {
  const files: StateFile[] = logs.map(({ number, lengthBytes }, i) => ({
    name: logName(number),
    lengthBytes,
    kind: i === logs.length - 1 ? 'last' : 'immutable',
  }));
  if (snapshot === undefined) return files;
  const { number, fileBytes } = snapshot;
  return [{ name: snapshotName(number), lengthBytes: fileBytes, kind: 'immutable' }, ...files];
}

/** Opens all files of a state, or none. Rejects `ENOENT` when a merge was faster. */
export async function openSource(
  fs: FileSystem,
  directory: string,
  state: State,
): Promise<BackupSource> {
  const results = await Promise.allSettled(
    state.files.map(async (one) => ({
      ...one,
      file: await fs.open(join(directory, one.name), 'r'),
    })),
  );
  const files = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const source = { ...state, directory, files };
  const failure = results.find((result) => result.status === 'rejected');
  if (failure === undefined) return source;
  await closeSource(source);
  throw failure.reason;
}

/** Only readers are closed: what cannot be closed loses nothing. */
export async function closeSource(source: BackupSource): Promise<void> {
  await Promise.all(source.files.map(({ file }) => file.close().catch(() => undefined)));
}

export interface SourceHooks {
  readonly signal: AbortSignal | undefined;
  /** Hears of the logs as they are read. */
  readonly progress: ProgressMeter;
}

/**
 * The state that a directory holds, read as recovery reads it, without a lock. A store may be at
 * work there meanwhile.
 * @throws CorruptionError; StoreError LODESTORE_NOT_FOUND, LODESTORE_INCOMPLETE,
 *   LODESTORE_UNSUPPORTED_FORMAT; system errors and the signal's reason as they are
 */
export function readSource(fs: Directory, hooks: SourceHooks): Promise<BackupSource> {
  return readSettled(
    fs.realPath,
    () => readOnce(fs, hooks),
    () => [],
  );
}

async function readOnce(fs: Directory, { signal, progress }: SourceHooks): Promise<BackupSource> {
  const directory = fs.realPath;
  const state = await readDirectoryState(fs, directory);
  const { snapshot, storeId, newer } = state;
  progress.begin(
    'logs',
    newer.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  const loaded: LoadedLog[] = [];
  // Newest first: a log that has a successor is then read after its seal was written.
  for (const { number, path } of newer.toReversed()) {
    const onProgress = progress.part();
    const scan = await scanLog(fs, path, { number, storeId, signal, onProgress });
    loaded.unshift({ number, path, scan });
  }
  const verdict = judgeDirectory(state, loaded);
  requireUndamaged(verdict);
  if (!holdsStore(state, verdict)) throw noStoreError(directory);
  const logs = verdict.logs
    .filter((log) => log.scan.frameCount > 0)
    .map(({ number, scan }) => ({ number, lengthBytes: scan.validBytes }));
  const files = stateFiles(snapshot, logs);
  const { lastSequence } = verdict.last;
  return openSource(fs, directory, { storeId, lastSequence, files });
}

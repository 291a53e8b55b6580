import { join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
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

/** A file of a state, with its length at that time. */
export interface StateFile {
  readonly name: string;
  readonly lengthBytes: number;
  /**
   * `immutable`: the file is never written again. `last`: the last log, which is written in place
   * while it is live, and later by recovery.
   */
  readonly kind: 'immutable' | 'last';
}

/** The files of a store at one point in time. */
export interface State {
  readonly storeId: Uint8Array;
  /** Sequence number of its last batch. */
  readonly lastSequence: bigint;
  readonly files: readonly StateFile[];
}

/** A file of a source. */
export interface SourceFile extends StateFile {
  /** Undefined if descriptors are scarce: the file is then opened when it is copied. */
  readonly file: OpenFile | undefined;
}

/** A state whose files are open: if a merge removes their names, they stay readable. */
export interface BackupSource extends State {
  readonly directory: string;
  readonly files: readonly SourceFile[];
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

/**
 * Opens all files of a state, or none. If there are not enough descriptors, only some stay open.
 * Rejects with `ENOENT` if a merge has removed one before.
 */
export async function openSource(
  fs: FileSystem,
  directory: string,
  state: State,
): Promise<BackupSource> {
  const failures: unknown[] = [];
  const files = await Promise.all(
    state.files.map(async (one): Promise<SourceFile> => {
      const file = await fs.open(join(directory, one.name), 'r').catch((error: unknown) => {
        failures.push(error);
        return undefined;
      });
      return { ...one, file };
    }),
  );
  const source = { ...state, directory, files };
  if (failures.length === 0) return source;
  if (failures.every(isLackOfDescriptors)) return holdFewer(source);
  await closeSource(source);
  throw failures.find((error) => !isLackOfDescriptors(error));
}

function isLackOfDescriptors(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

/** Files that stay open if the descriptors do not suffice for all. */
const HELD_FILES = 64;

/** Leaves descriptors to the copy and to the rest of the process. */
async function holdFewer(source: BackupSource): Promise<BackupSource> {
  const open = source.files.filter(({ file }) => file !== undefined);
  const held = new Set(open.slice(0, HELD_FILES));
  const surplus = open.slice(HELD_FILES);
  await closeSource({ ...source, files: surplus });
  const files = source.files.map((one) => (held.has(one) ? one : { ...one, file: undefined }));
  return { ...source, files };
}

/** The files are only read, so a failed close loses nothing. */
export async function closeSource(source: BackupSource): Promise<void> {
  const open = source.files.flatMap(({ file }) => file ?? []);
  await Promise.all(open.map((file) => file.close().catch(() => undefined)));
}

export interface SourceHooks {
  readonly signal: AbortSignal | undefined;
  /** Receives the progress of reading the logs. */
  readonly progress: ProgressMeter;
}

/**
 * Reads the state of a directory, as recovery does, without a lock. A store may be open there.
 *
 * @throws CorruptionError; StoreError LODESTORE_NOT_FOUND, LODESTORE_INCOMPLETE,
 *   LODESTORE_UNSUPPORTED_FORMAT; system errors and the signal's reason unchanged
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
  // Newest first: a log with a successor is then read after its seal was written.
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

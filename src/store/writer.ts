import { present } from '../base/assert.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { DirectoryLock } from '../directory/held-lock.ts';
import type { Directory } from '../fs/directory.ts';
import type { Table } from '../table/table.ts';
import type { BackgroundLoad } from './background-load.ts';
import { BatchQueue } from './batch/batch-queue.ts';
import type { FeedSet } from './changes/feed-set.ts';
import type { RetainedLogs } from './changes/retained-logs.ts';
import { Claims, type SyncedEnd } from './commit/claims.ts';
import type { Committer } from './commit/committer.ts';
import { Fence } from './commit/fence.ts';
import { FilesWatch } from './commit/files-watch.ts';
import { LogKeeper, type LogKeeperParts } from './commit/log-keeper.ts';
import type { StartTimer } from './commit/log-sync.ts';
import { Notes } from './commit/notes.ts';
import { LiveBackups } from './live-backups.ts';
import { makeMerges } from './make-merges.ts';
import { makeCommitter } from './make-committer.ts';
import { MergeExecutor } from './merge/merge-executor.ts';
import { MergeRunner } from './merge/merge-runner.ts';
import type { MergeScheduler } from './merge/merge-scheduler.ts';
import { SnapshotKeeper } from './merge/snapshot-keeper.ts';
import { StoreFiles } from './merge/store-files.ts';
import type { Announce } from './observe/store-events.ts';
import { StoreObserver } from './observe/store-observer.ts';
import type { OpenedParts } from './open/open-parts.ts';
import { replicaAccess } from './replica-access.ts';
import { ReserveFile } from './space/reserve-file.ts';
import { SpaceKeeper } from './space/space-keeper.ts';
import { StateCapture } from './state-capture.ts';

/** The parts that write to an open store's directory. */
export interface Writer {
  readonly queue: BatchQueue;
  readonly committer: Committer;
  readonly logs: LogKeeper;
  readonly claims: Claims;
  readonly notes: Notes | undefined;
  readonly watch: FilesWatch;
  readonly merges: MergeScheduler;
  readonly backups: LiveBackups;
  readonly observer: StoreObserver;
  readonly space: SpaceKeeper;
}

/** What a writer needs from its store. */
export interface WriterHost {
  readonly store: object;
  /** What reads see. Throws StoreClosedError. */
  readonly table: () => Table;
  readonly feeds: FeedSet;
  readonly backgroundLoad: BackgroundLoad;
  readonly announce: Announce;
}

/**
 * Settles all batches and closes all files. Executes every step, and rejects with the first
 * failure.
 */
export async function closeWriter(writer: Writer): Promise<void> {
  const { queue, committer, logs, claims, notes, watch, merges, backups, space } = writer;
  await queue.whenEmpty();
  committer.stopTimer();
  await inOrder([
    () => backups.close(),
    () => merges.close(),
    () => space.close(),
    () => committer.whenIdle(),
    async () => {
      await committer.sealForClose();
      committer.requireSynced();
      claims.note(logs.synced);
    },
    () => claims.whenIdle(),
    async () => notes?.close(),
    () => watch.close(),
    () => logs.close(),
  ]);
}

/** Executes all steps, even after failures. Rejects with the first error. */
export async function inOrder(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: { readonly error: unknown }[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push({ error }));
  if (failures[0] !== undefined) throw failures[0].error;
}

/** Creates, connects and starts the parts that write to the directory. */
export function makeWriter(parts: OpenedParts, lock: DirectoryLock, host: WriterHost): Writer {
  const { fs: directory, table, health, options, makeRunner, pause, gate } = parts;
  const { storeId } = parts.recovered;
  const { announce, feeds } = host;
  const { retained } = feeds;
  const startTimer: StartTimer = (delayMs, ring) =>
    parts.startTimer(delayMs, () => health.guard(ring));
  const fence = new Fence(lock, health, options.commits);
  const logs = keepLogs(parts, fence, () => space.isRoomForZeros);
  const replacing = { directory, fence, table, logs, retained, gate };
  const snapshots = new SnapshotKeeper(replacing, parts.snapshot);
  const files = new StoreFiles(logs, snapshots);
  const observer = observe(parts, host, logs);
  const space: SpaceKeeper = openSpace(parts, lock, { files, retained }, announce, () =>
    merges.relieve(),
  );
  const claims = new Claims({ lock, storeId, health });
  const notes = keepNotes(parts, lock, startTimer, () => logs.synced);
  const watch = new FilesWatch({ fs: directory, fence, startTimer, files: () => files.kept });
  const queue: BatchQueue = new BatchQueue(options, pause, () => committer.wake());
  const onSynced = (): void => {
    feeds.ring();
    notes?.note();
  };
  const committer: Committer = makeCommitter(
    parts,
    { queue, space, logs, fence, observer },
    {
      startTimer,
      admit: () => host.backgroundLoad.admit(merges),
      admitNow: () => host.backgroundLoad.admitNow(merges),
      onSynced,
      onCommitted: () => {
        merges.consider();
        onSynced();
      },
      onEnded: () => {
        claims.note(logs.synced);
        void watch.look();
      },
    },
  );
  const runner = new MergeRunner(() => makeRunner(directory), startTimer);
  const executor = new MergeExecutor({ runner, table, health, watch });
  const merges: MergeScheduler = makeMerges(parts, { files, space, committer, observer, executor });
  const capture = new StateCapture({ directory, storeId, files, table, committer, health });
  const check = { makeRunner, pause };
  const backups = new LiveBackups({ directory, capture, check, merges, health, watch });
  const recording = { claims, notes, watch };
  const writer = { queue, committer, logs, ...recording, merges, backups, observer, space };
  startWriter(writer, parts, host);
  return writer;
}

function startWriter(
  writer: Writer,
  parts: OpenedParts,
  { table, backgroundLoad }: WriterHost,
): void {
  const { logs, watch, space, merges } = writer;
  logs.prepareNext();
  watch.start();
  space.start();
  backgroundLoad.onceWarm(() => parts.health.guard(() => merges.consider()));
  parts.gate?.attach(replicaAccess(parts, { table, ...writer }));
}

function observe(
  { directory, options }: OpenedParts,
  { store, announce }: WriterHost,
  logs: LogKeeper,
): StoreObserver {
  const { slowSyncMs } = options;
  return new StoreObserver({
    store,
    directory,
    slowSyncMs,
    announce,
    livePath: () => logs.live?.path,
  });
}

/**
 * The logs of the store. They use blocking calls if commits are inline, and are checked after a
 * pause.
 */
function keepLogs(
  parts: OpenedParts,
  fence: Fence,
  isRoomForZeros: LogKeeperParts['isRoomForZeros'],
): LogKeeper {
  const { fs, directory, options, recovered, epoch } = parts;
  const isInline = options.commits === 'inline';
  const calls = isInline ? present(fs.blocking, 'asked for before the store was opened') : fs;
  const identity = { storeId: recovered.storeId, epoch };
  const about = { fence, isRoomForZeros, rotateBytes: options.rotateBytes };
  const logs = new LogKeeper(calls, directory, identity, about, parts.logs);
  fence.lock.checkAfterPause((anyCalls) => logs.requireUnchanged(anyCalls));
  return logs;
}

/** What tells followers how far they may read. */
function keepNotes(
  { recovered, health, noteEveryMs: everyMs }: OpenedParts,
  lock: DirectoryLock,
  startTimer: StartTimer,
  syncedEnd: () => SyncedEnd,
): Notes | undefined {
  if (everyMs === undefined) return undefined;
  const { storeId } = recovered;
  return new Notes({ lock, storeId, health, startTimer, everyMs, syncedEnd });
}

/** The space keeper of a writable store. Call its `start` when the merge scheduler exists. */
function openSpace(
  { fs, directory, options, pause }: OpenedParts,
  lock: DirectoryLock,
  { files, retained }: { readonly files: StoreFiles; readonly retained: RetainedLogs },
  announce: Announce,
  relieve: () => void,
): SpaceKeeper {
  const { maxBytes, retainBytes, reserveFileBytes } = options;
  const { logs, snapshots } = files;
  const reserveFile =
    reserveFileBytes === 0 ? undefined : new ReserveFile(fs, directory, reserveFileBytes, lock);
  return new SpaceKeeper({
    directory,
    maxBytes,
    retainBytes,
    reserveFile,
    pause: options.commits === 'inline' ? undefined : pause,
    freeBytes: () => fs.freeBytes(directory),
    usage: () => ({
      snapshotBytes: snapshots.fileBytes,
      logFileBytes: logs.fileBytes,
      logBytes: logs.totalBytes,
      retainedBytes: retained.totalBytes,
    }),
    relieve,
    onLow: (figures) => announce('lowSpace', [figures]),
    onRecovered: (figures) => announce('spaceRecovered', [figures]),
  });
}

/**
 * Releases the directory after everything else, because the lease and the threads use it until
 * then.
 */
export async function releaseDirectory(
  directory: Directory,
  lock: DirectoryLock | undefined,
  backgroundLoad: BackgroundLoad,
): Promise<void> {
  const releaseLock = async (): Promise<void> => {
    await lock?.release().catch((error: unknown) => {
      const what = 'the directory could not be released; no acknowledged batch is lost';
      throw storeErrorOf(error, { what, path: directory.realPath });
    });
  };
  await inOrder([releaseLock, () => backgroundLoad.stop(), () => directory.close()]);
}

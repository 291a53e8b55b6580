import { present } from '../base/assert.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { DirectoryLock } from '../directory/directory-lock.ts';
import type { Directory } from '../fs/directory.ts';
import type { Table } from '../table/table.ts';
import type { BackgroundLoad } from './background-load.ts';
import { BatchQueue } from './batch/batch-queue.ts';
import type { FeedSet } from './changes/feed-set.ts';
import type { RetainedLogs } from './changes/retained-logs.ts';
import { Claims, type SyncedEnd } from './commit/claims.ts';
import type { CommitGate } from './commit/commit-gate.ts';
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
import { pacingOf, timerOf } from './open/environment.ts';
import type { OpenedStore } from './open/opened-store.ts';
import { replicaAccess } from './replica-access.ts';
import { DiskSpace } from './space/disk-space.ts';
import { ReserveFile } from './space/reserve-file.ts';
import { SpaceBudget, type SpaceUsage } from './space/space-budget.ts';
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
  /** Of a replicated store. */
  readonly gate: CommitGate | undefined;
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
export function makeWriter(opened: OpenedStore, lock: DirectoryLock, host: WriterHost): Writer {
  const { directory, environment, options, threads, health, recovered } = opened;
  const { pause } = environment;
  const { table, identity } = recovered;
  const { storeId } = identity;
  const { announce, feeds, gate } = host;
  const { retained } = feeds;
  const startTimer: StartTimer = (delayMs, ring) =>
    timerOf(environment)(delayMs, () => health.guard(ring));
  const fence = new Fence(lock, health, options.commits);
  const logs = keepLogs(opened, fence, () => space.isRoomForZeros);
  const replacing = { directory, fence, table, logs, retained, gate };
  const snapshots = new SnapshotKeeper(replacing, recovered.snapshot);
  const files = new StoreFiles(logs, snapshots);
  const observer = observe(opened, host, logs);
  const space: SpaceKeeper = openSpace(opened, lock, { files, retained }, announce, () =>
    merges.relieve(),
  );
  const claims = new Claims({ lock, storeId, health });
  const notes = keepNotes(opened, lock, startTimer, () => logs.acknowledged);
  // Reads may have made a merge due, without a commit after them.
  const startLook: StartTimer = (delayMs, ring) =>
    startTimer(delayMs, () => {
      merges.consider();
      ring();
    });
  const kept = () => files.kept;
  const watch = new FilesWatch({ fs: directory, fence, startTimer: startLook, files: kept });
  const queue: BatchQueue = new BatchQueue(options, pacingOf(environment), () => committer.wake());
  const onSynced = (): void => {
    feeds.ring();
    notes?.note();
  };
  const committer: Committer = makeCommitter(
    opened,
    { queue, space, logs, fence, observer },
    {
      startTimer,
      gate,
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
  const runner = new MergeRunner(() => threads.make(directory), startTimer);
  const executor = new MergeExecutor({ runner, table, health, watch });
  const merges: MergeScheduler = makeMerges(opened, {
    files,
    space,
    committer,
    observer,
    executor,
  });
  const capture = new StateCapture({ directory, storeId, files, table, committer, health });
  const check = { makeRunner: threads.make, pause };
  const backups = new LiveBackups({ directory, capture, check, merges, health, watch });
  const recording = { claims, notes, watch };
  const writer = { queue, committer, logs, ...recording, merges, backups, observer, space };
  startWriter(writer, opened, host);
  return writer;
}

function startWriter(
  writer: Writer,
  opened: OpenedStore,
  { table, backgroundLoad, gate }: WriterHost,
): void {
  const { logs, watch, space, merges } = writer;
  logs.prepareNext();
  watch.start();
  space.start();
  backgroundLoad.onceWarm(() => opened.health.guard(() => merges.consider()));
  gate?.attach(replicaAccess(opened, { table, ...writer }));
}

function observe(
  { directory, options }: OpenedStore,
  { store, announce }: WriterHost,
  logs: LogKeeper,
): StoreObserver {
  const { slowSyncMs } = options;
  return new StoreObserver({
    store,
    directory: directory.realPath,
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
  { directory: fs, environment, options, recovered }: OpenedStore,
  fence: Fence,
  isRoomForZeros: LogKeeperParts['isRoomForZeros'],
): LogKeeper {
  const isInline = options.commits === 'inline';
  const calls = isInline ? present(fs.blocking, 'asked for before the store was opened') : fs;
  const about = { fence, isRoomForZeros, rotateBytes: options.rotateBytes };
  const reserveBytes = environment.sizes?.reserveBytes;
  const found = { ...recovered.logs, reserveBytes };
  const logs = new LogKeeper(calls, fs.realPath, recovered.identity, about, found);
  fence.lock.checkAfterPause((anyCalls) => logs.requireUnchanged(anyCalls));
  return logs;
}

/** Records for followers how far they may read. */
function keepNotes(
  { recovered, health, environment }: OpenedStore,
  lock: DirectoryLock,
  startTimer: StartTimer,
  acknowledgedEnd: () => SyncedEnd,
): Notes | undefined {
  const { noteEveryMs: everyMs } = environment;
  if (everyMs === undefined) return undefined;
  const { storeId } = recovered.identity;
  return new Notes({ lock, storeId, health, startTimer, everyMs, acknowledgedEnd });
}

/** The space keeper of a writable store. Call its `start` when the merge scheduler exists. */
function openSpace(
  { directory: fs, options, environment }: OpenedStore,
  lock: DirectoryLock,
  { files, retained }: { readonly files: StoreFiles; readonly retained: RetainedLogs },
  announce: Announce,
  relieve: () => void,
): SpaceKeeper {
  const { maxBytes, retainBytes, reserveFileBytes } = options;
  const { logs, snapshots } = files;
  const directory = fs.realPath;
  const reserveFile =
    reserveFileBytes === 0 ? undefined : new ReserveFile(fs, directory, reserveFileBytes, lock);
  const usage = (): SpaceUsage => ({
    snapshotBytes: snapshots.fileBytes,
    logFileBytes: logs.fileBytes,
    logBytes: logs.totalBytes,
    retainedBytes: retained.totalBytes,
  });
  return new SpaceKeeper({
    directory,
    budget: new SpaceBudget({ maxBytes, retainBytes }, usage),
    disk: new DiskSpace(() => fs.freeBytes(directory)),
    reserveFile,
    pacing: options.commits === 'inline' ? undefined : pacingOf(environment),
    listener: {
      onLow: (figures) => announce('lowSpace', [figures]),
      onRecovered: (figures) => announce('spaceRecovered', [figures]),
      onRefused: relieve,
    },
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

import { present } from '../base/assert.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { DirectoryLock } from '../directory/held-lock.ts';
import type { Directory } from '../fs/directory.ts';
import type { Table } from '../table/table.ts';
import { LiveBackups } from './live-backups.ts';
import { BatchQueue } from './batch/batch-queue.ts';
import type { FeedSet } from './changes/feed-set.ts';
import { Claims, type SyncedEnd } from './commit/claims.ts';
import { Committer, fenceOf } from './commit/committer.ts';
import { FilesWatch } from './commit/files-watch.ts';
import { LogKeeper, type KeptFile, type LogKeeperParts } from './commit/log-keeper.ts';
import { Notes } from './commit/notes.ts';
import { LogSync, type StartTimer } from './commit/log-sync.ts';
import { MergeRunner } from './merge/merge-runner.ts';
import { MergeScheduler, type CurrentSnapshot } from './merge/merge-scheduler.ts';
import type { Announce } from './observe/store-events.ts';
import { StoreObserver } from './observe/store-observer.ts';
import type { OpenedParts } from './open/open-parts.ts';
import { ReserveFile } from './space/reserve-file.ts';
import { SpaceKeeper } from './space/space-keeper.ts';
import { replicaAccess } from './replica-access.ts';
import type { BackgroundLoad } from './background-load.ts';

/** The parts that write to an open store's directory. */
export interface Writer {
  readonly queue: BatchQueue;
  readonly committer: Committer;
  readonly sync: LogSync;
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
  const { queue, committer, sync, logs, claims, notes, watch, merges, backups, space } = writer;
  await queue.whenEmpty();
  sync.stop();
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
  const { fs, directory, table, health, options, recovered, epoch, makeRunner, pause } = parts;
  const { store, feeds, backgroundLoad, announce } = host;
  const { storeId } = recovered;
  const { slowSyncMs, rotateBytes, compressionLevel } = options;
  const { syncEveryMs } = options.durability;
  const startTimer: StartTimer = (delayMs, ring) =>
    parts.startTimer(delayMs, () => health.guard(ring));
  const livePath = (): string | undefined => logs.live?.path;
  const observer = new StoreObserver({ store, directory, slowSyncMs, announce, livePath });
  const whenHeld = fenceOf(lock, options.commits);
  const logs = keepLogs(parts, lock, whenHeld, () => space.isRoomForZeros);
  const claims = new Claims({ lock, storeId, health });
  const notes = keepNotes(parts, lock, startTimer, () => logs.synced);
  const files = (): readonly KeptFile[] => keptFiles(merges.snapshot, logs);
  const watch = new FilesWatch({ fs, lock, health, startTimer, files });
  const queue: BatchQueue = new BatchQueue(options, pause, () => committer.wake());
  const onDue = (): void => committer.wake();
  const onSynced = (syncMs: number): void => {
    observer.commits.synced(syncMs);
    feeds.ring();
    notes?.note();
  };
  const sync = new LogSync({ logs, health, whenHeld, syncEveryMs, startTimer, onDue, onSynced });
  const space: SpaceKeeper = openSpace(parts, { logs, feeds, merges: () => merges }, announce);
  const found = { fs, directory, storeId, epoch, table, watch };
  const shared = { ...found, logs, health, observer, space };
  const committing = { ...shared, queue, sync, stats: observer.commits, lock, whenHeld };
  const committer: Committer = new Committer({
    ...committing,
    mode: options.commits,
    pause: options.commits === 'inline' ? undefined : pause,
    rotateBytes,
    compressionLevel,
    admit: () => backgroundLoad.admit(merges),
    admitNow: () => backgroundLoad.admitNow(merges),
    onEnded: () => {
      claims.note(logs.synced);
      void watch.look();
    },
    onCommitted: () => {
      merges.consider();
      feeds.ring();
      notes?.note();
    },
    gate: parts.gate,
  });
  const merges: MergeScheduler = new MergeScheduler(
    {
      ...shared,
      retained: feeds.retained,
      committer,
      lock,
      runner: new MergeRunner(() => makeRunner(fs), startTimer),
      mergeBytes: options.mergeBytes,
      logLimitBytes: options.logLimitBytes,
      onMerged: (merged) => announce('merged', [merged]),
      onFailed: (error) => announce('mergeFailed', [error]),
      beforeRemoval: (lastSequence) => parts.gate?.beforeRemoval(lastSequence),
    },
    parts.snapshot,
  );
  const backups = new LiveBackups({ ...shared, committer, merges, makeRunner, pause });
  const recording = { claims, notes, watch };
  const writer = { queue, committer, sync, logs, ...recording, merges, backups, observer, space };
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

/**
 * The logs of the store. They use blocking calls if commits are inline, and are checked after a
 * pause.
 */
function keepLogs(
  parts: OpenedParts,
  lock: DirectoryLock,
  whenHeld: LogKeeperParts['whenHeld'],
  isRoomForZeros: LogKeeperParts['isRoomForZeros'],
): LogKeeper {
  const { fs, directory, options, recovered, epoch, health } = parts;
  const isInline = options.commits === 'inline';
  const calls = isInline ? present(fs.blocking, 'asked for before the store was opened') : fs;
  const identity = { storeId: recovered.storeId, epoch };
  const about = { whenHeld, health, isRoomForZeros };
  const logs = new LogKeeper(calls, directory, identity, about, parts.logs);
  lock.checkAfterPause((anyCalls) => logs.requireUnchanged(anyCalls));
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

/** The snapshot and the logs that hold the store's data. */
function keptFiles(snapshot: CurrentSnapshot | undefined, logs: LogKeeper): readonly KeptFile[] {
  if (snapshot === undefined) return logs.keptFiles;
  return [{ path: snapshot.path, lengthBytes: snapshot.fileBytes }, ...logs.keptFiles];
}

/** The space keeper of a writable store. Call its `start` when the merge scheduler exists. */
function openSpace(
  parts: OpenedParts,
  files: {
    readonly logs: LogKeeper;
    readonly feeds: FeedSet;
    readonly merges: () => MergeScheduler;
  },
  announce: Announce,
): SpaceKeeper {
  const { fs, directory, options, pause, lock } = parts;
  const { maxBytes, retainBytes, reserveFileBytes } = options;
  const { logs, feeds, merges } = files;
  const reserveFile =
    reserveFileBytes === 0 || lock === undefined
      ? undefined
      : new ReserveFile(fs, directory, reserveFileBytes, lock);
  return new SpaceKeeper({
    directory,
    maxBytes,
    retainBytes,
    reserveFile,
    pause: options.commits === 'inline' ? undefined : pause,
    freeBytes: () => fs.freeBytes(directory),
    usage: () => ({
      snapshotBytes: merges().snapshot?.fileBytes ?? 0,
      logFileBytes: logs.fileBytes,
      logBytes: logs.totalBytes,
      retainedBytes: feeds.retained.totalBytes,
    }),
    relieve: () => merges().relieve(),
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

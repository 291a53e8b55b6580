import type {
  BlockingCalls,
  DirectoryEntry,
  DirectoryHold,
  FileLock,
  FileStat,
  FileSystem,
  Lease,
  LeaseOptions,
  OpenFile,
  OpenMode,
} from '../fs/file-system.ts';
import { CallRunner } from './call-runner.ts';
import type { CallRecord } from './call-trace.ts';
import { chosenState, listedChoices, minimalState, randomChoices } from './choices.ts';
import { CrashBlockingFile, CrashFile } from './crash-file.ts';
import { CrashLock } from './crash-lock.ts';
import type { FileHost } from './crash-file.ts';
import type { CrashState } from './crash-state.ts';
import { Disk } from './disk/disk.ts';
import type { CrashModel } from './disk/effect.ts';
import { CrashStates } from './enumeration.ts';
import type { CrashStatesOptions } from './enumeration.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Tear } from './file-variant-list.ts';
import { HeldDirectories } from './held-directories.ts';
import type { DirectoryAccess } from './held-directories.ts';
import { leaseOf, LeaseTable } from './lease-table.ts';
import { Random } from './engine/random.ts';
import { endEffect, NameCalls } from './name-calls.ts';
import { IMMEDIATE } from './scheduler.ts';
import type { CallScheduler } from './scheduler.ts';
import { systemError } from './disk/system-error.ts';

/** Options of a running machine, independent of its disk. */
export interface RunOptions {
  /** Default: every call ends one microtask after it started. */
  readonly scheduler?: CallScheduler;
  /** Records every call in `trace`. Default true. */
  readonly trace?: boolean;
  /** Called before each successful sync takes effect. Default: nothing. */
  readonly onCrashPoint?: (point: CrashPoint) => void;
  /** How a held directory is reached. Default `by-descriptor`. */
  readonly directoryAccess?: DirectoryAccess;
}

export interface CrashFsOptions extends RunOptions {
  /** The guarantees of the disk. Default `posix`, the weakest. */
  readonly model?: CrashModel;
  /**
   * Capacity in bytes of all files together. A write beyond it is short; the next one fails with
   * `ENOSPC`.
   */
  readonly capacityBytes?: number;
}

/** The state of a machine at its start. */
interface FoundAtStart {
  readonly disk: Disk;
  readonly leases: LeaseTable;
}

/** The moment before a sync succeeds, when a crash can lose the most. */
export interface CrashPoint {
  readonly fs: CrashFs;
  /** The file or directory that is being synced. */
  readonly path: string;
  /** Starts at 1. */
  readonly number: number;
}

export interface CrashOptions extends RunOptions {
  /** Where writes may tear. Default `sector`. */
  readonly tear?: Tear;
}

/**
 * A file system in memory that tracks which bytes and names are durable. Written bytes are volatile
 * until their file is synced. Names are volatile until their directory is synced. A crash keeps any
 * legal part of the volatile state. Deterministic: no clock, no timer, only seeded randomness.
 *
 * The methods that simulate a crash (`crashStates`, `crash`, `minimalCrash`, `randomCrash`, `kill`)
 * leave this machine unchanged and return a new one. The program on this machine may continue, or
 * `powerOff` ends it. All paths start at the root, which exists.
 */
export class CrashFs implements FileSystem {
  readonly model: CrashModel;
  /** Leases as other hosts see them. The test decides whether a lease is fresh. */
  readonly leases: LeaseTable;
  /** The number of crash points so far, which is the number of successful syncs. */
  crashPointCount = 0;
  readonly #disk: Disk;
  readonly #held: HeldDirectories;
  readonly #calls: CallRunner;
  readonly #host: FileHost;
  readonly #names: NameCalls;
  readonly #options: RunOptions;
  /** Inodes that have a kernel lock. */
  readonly #locked: Set<number> = new Set();

  /** An empty machine, or a restarted one if `found` is given. */
  constructor(options: CrashFsOptions = {}, found?: FoundAtStart) {
    this.#options = options;
    this.#disk =
      found?.disk ?? new Disk(options.model ?? 'posix', options.capacityBytes ?? Infinity);
    this.model = this.#disk.model;
    this.leases = found?.leases ?? new LeaseTable();
    const access = options.directoryAccess ?? 'by-descriptor';
    this.#held = new HeldDirectories(this.#disk.names, access);
    this.#calls = new CallRunner(this.#disk, options.scheduler ?? IMMEDIATE, {
      recordsTrace: options.trace ?? true,
      shown: (path) => this.#held.shown(path),
    });
    this.#host = {
      disk: this.#disk,
      calls: this.#calls,
      isNamed: (path) => this.#held.isNamed(path),
      reachCrashPoint: (path) => this.#reachCrashPoint(path),
    };
    this.#names = new NameCalls(this.#host, this.#held);
  }

  /** A machine with these files and the directories on their paths, all durable. */
  static withFiles(
    files: Readonly<Record<string, Uint8Array>>,
    options: CrashFsOptions = {},
  ): CrashFs {
    const fs = new CrashFs(options);
    for (const [path, bytes] of Object.entries(files)) fs.#disk.plant(path, bytes);
    fs.#disk.endPlanting();
    return fs;
  }

  /** The rules for which calls fail. */
  get faults(): FaultPlan {
    return this.#calls.faults;
  }

  /** All calls so far, in order of their start. Empty with `trace: false`. */
  get trace(): readonly CallRecord[] {
    return this.#calls.trace;
  }

  /** The number of directories that are held open. */
  get heldDirectoryCount(): number {
    return this.#held.count;
  }

  readonly blocking: BlockingCalls = {
    open: (path, mode) => {
      const opening = this.#names.opening(path, mode, CrashBlockingFile);
      return this.#calls.runNow('open', path, { detail: mode }, opening);
    },
    unlink: (path) => this.#calls.runNow('unlink', path, {}, this.#names.unlinking(path)),
    syncDirectory: (path) =>
      this.#calls.runNow('syncDirectory', path, {}, this.#names.syncingDirectory(path)),
  };

  open(path: string, mode: OpenMode): Promise<OpenFile> {
    return this.#calls.run(
      'open',
      path,
      { detail: mode },
      this.#names.opening(path, mode, CrashFile),
    );
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.#calls.run('readDirectory', path, {}, (call) => {
      const id = this.#names.requireDirectory(path, call.kind);
      return () =>
        [...(this.#disk.names.directories.get(id)?.live ?? [])].map(([name, inodeId]) => ({
          name,
          kind: this.#names.kindOf(inodeId),
        }));
    });
  }

  stat(path: string): Promise<FileStat> {
    return this.#calls.run('stat', path, {}, (call) => {
      const inodeId = this.#held.find(path, call.kind);
      return () => ({
        kind: this.#names.kindOf(inodeId),
        sizeBytes: this.#disk.file(inodeId)?.live.sizeBytes ?? 0,
      });
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#calls.run('rename', from, { detail: `to ${to}` }, (call) => {
      const source = this.#held.locate(from, call.kind);
      const target = this.#held.locate(to, call.kind);
      if (source.inodeId === undefined) throw systemError('ENOENT', call.kind, from);
      if (source.directory !== target.directory) throw systemError('EXDEV', call.kind, to);
      if (target.inodeId !== undefined && this.#names.kindOf(target.inodeId) === 'directory') {
        throw systemError('EISDIR', call.kind, to);
      }
      if (source.inodeId === target.inodeId) return () => {};
      return endEffect(this.#disk.rename(source, target, call.startTick));
    });
  }

  unlink(path: string): Promise<void> {
    return this.#calls.run('unlink', path, {}, this.#names.unlinking(path));
  }

  link(existing: string, path: string): Promise<void> {
    return this.#calls.run('link', existing, { detail: `as ${path}` }, (call) => {
      const file = this.#names.requireFile(existing, call.kind);
      const place = this.#held.locate(path, call.kind);
      if (place.inodeId !== undefined) throw systemError('EEXIST', call.kind, path);
      return endEffect(this.#disk.link(file, place, call.startTick));
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#calls.run('makeDirectory', path, {}, (call) => {
      const place = this.#held.locate(path, call.kind);
      if (place.inodeId !== undefined) throw systemError('EEXIST', call.kind, path);
      return endEffect(this.#disk.makeDirectory(place, call.startTick));
    });
  }

  removeDirectory(path: string): Promise<void> {
    return this.#calls.run('removeDirectory', path, {}, (call) => {
      const id = this.#names.requireDirectory(path, call.kind);
      const isEmpty = this.#disk.names.directories.get(id)?.live.size === 0;
      if (!isEmpty) throw systemError('ENOTEMPTY', call.kind, path);
      const place = this.#held.locate(path, call.kind);
      return endEffect(this.#disk.unlink(place, call.startTick));
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#calls.run('syncDirectory', path, {}, this.#names.syncingDirectory(path));
  }

  freeBytes(path: string): Promise<number> {
    return this.#calls.run('freeBytes', path, {}, (call) => {
      this.#held.find(path, call.kind);
      return () => this.#disk.freeBytes();
    });
  }

  tryLock(path: string): Promise<FileLock | undefined> {
    return this.#calls.run('tryLock', path, {}, (call) => {
      const place = this.#held.locate(path, call.kind);
      if (place.inodeId === undefined) this.#names.requireWritable(call);
      const made =
        place.inodeId === undefined ? this.#disk.createFile(place, call.startTick) : undefined;
      const file = made?.file ?? this.#names.requireFile(path, call.kind);
      const taken = !this.#locked.has(file.id);
      if (taken) this.#locked.add(file.id);
      return (endTick) => {
        if (made !== undefined) made.effect.endTick = endTick;
        if (!taken) return undefined;
        const handle = new CrashFile(this.#host, file, { given: path, shown: call.path }, 'r+');
        return new CrashLock(handle, call.path, {
          inodeId: file.id,
          isInPlace: () => this.#held.leadsTo(path, file.id),
          onRelease: () => this.#locked.delete(file.id),
        });
      };
    });
  }

  takeLease(path: string, options: LeaseOptions): Promise<Lease> {
    return this.#calls.run('takeLease', path, {}, (call) => {
      const lease = this.leases.take(call.path, options);
      return () => leaseOf(this.#calls, path, lease);
    });
  }

  breakLease(path: string): Promise<void> {
    return this.#calls.run('breakLease', path, {}, (call) => {
      this.leases.break(call.path);
      return () => {};
    });
  }

  holdDirectory(path: string): Promise<DirectoryHold> {
    return this.#calls.run('holdDirectory', path, {}, () => {
      const hold = this.#held.hold(path, {
        sync: (access) => this.syncDirectory(access),
        syncNow: (access) => this.blocking.syncDirectory(access),
      });
      return () => hold;
    });
  }

  /**
   * The legal states after a crash at this moment, generated lazily. The first is the minimal one.
   * Open each with `materialise`.
   */
  crashStates(options: CrashStatesOptions = {}): CrashStates {
    return new CrashStates(this.#disk.clone(), options);
  }

  /** A machine that restarted after a crash left `state`. Locks are free, leases remain. */
  materialise(state: CrashState, options: RunOptions = {}): CrashFs {
    return this.#restart(state.toDisk(), options);
  }

  /**
   * Crashes as the choices select, each modulo its bound. 0 is always the mildest; an empty list
   * keeps everything. A list of small numbers therefore shrinks towards the mildest crash.
   */
  crash(choices: readonly number[], options: CrashOptions = {}): CrashFs {
    const tear = options.tear ?? 'sector';
    const state = chosenState(this.#disk.clone(), listedChoices(choices), tear);
    return this.materialise(state, options);
  }

  /** A legal crash, selected by `seed`. */
  randomCrash(seed: number, options: CrashOptions = {}): CrashFs {
    const tear = options.tear ?? 'sector';
    const state = chosenState(this.#disk.clone(), randomChoices(new Random(seed)), tear);
    return this.materialise(state, options);
  }

  /** A crash that keeps only durable state. */
  minimalCrash(options: RunOptions = {}): CrashFs {
    return this.materialise(minimalState(this.#disk.clone()), options);
  }

  /**
   * A kill of the process: the visible state remains and stays volatile. Locks are free, leases
   * remain.
   */
  kill(options: RunOptions = {}): CrashFs {
    const disk = this.#disk.clone();
    disk.endAllCalls();
    return this.#restart(disk, options);
  }

  /** From now on, every call on this machine fails, including calls in flight. */
  powerOff(): void {
    this.#calls.powerOff();
  }

  /**
   * F3: from now on, every changing call fails with `EROFS`, as after an abort of the file system.
   */
  abort(): void {
    this.#calls.abort();
  }

  /** Damage at rest: overwrites durable and visible bytes of a file. The size does not change. */
  damage(path: string, position: number, bytes: Uint8Array): void {
    this.#names.requireFile(path, 'write').damage(position, bytes);
  }

  /** All visible files: path to bytes. */
  files(): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    this.#disk.walk((path, file) => {
      if (file !== undefined) files.set(path, file.live.bytes.slice());
    });
    return files;
  }

  /** A 53-bit hash of all visible paths and bytes. */
  hash(): number {
    return this.#disk.liveHash();
  }

  #restart(disk: Disk, options: RunOptions): CrashFs {
    const trace = options.trace ?? this.#options.trace ?? true;
    return new CrashFs({ ...options, trace }, { disk, leases: this.leases.leftBehind() });
  }

  #reachCrashPoint(path: string): void {
    this.crashPointCount++;
    this.#options.onCrashPoint?.({ fs: this, path, number: this.crashPointCount });
  }
}

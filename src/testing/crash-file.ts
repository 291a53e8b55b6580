import type {
  BlockingFile,
  FileStat,
  OpenFile,
  OpenFileStat,
  OpenMode,
} from '../fs/file-system.ts';
import type { Begin, Call, CallDetail, CallRunner } from './call-runner.ts';
import { requireOffset } from './disk/disk.ts';
import type { Disk } from './disk/disk.ts';
import type { CallKind, Fault } from './fault-plan.ts';
import type { FileInode } from './disk/file-inode.ts';
import { systemError } from './disk/system-error.ts';

/** What an open file needs of its machine. */
export interface FileHost {
  readonly disk: Disk;
  readonly calls: CallRunner;
  /** Whether a path leads to a file or directory now. */
  isNamed(path: string): boolean;
  /** Called just before a sync succeeds: nothing of it is durable yet. */
  reachCrashPoint(path: string): void;
}

/** The path by which a file was opened. */
export interface OpenedPath {
  /** As the caller gave it: it may lead through the descriptor of a directory. */
  readonly given: string;
  /** In traces and errors. */
  readonly shown: string;
}

/** An open file of the simulated file system. */
export class CrashFile implements OpenFile {
  readonly #handle: Handle;

  constructor(host: FileHost, file: FileInode, path: OpenedPath, mode: OpenMode) {
    this.#handle = new Handle(host, file, path, mode);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#run(this.#handle.read(target, position));
  }

  readSync(target: Uint8Array, position: number): number {
    return this.#handle.readUntraced(target, position);
  }

  write(source: Uint8Array, position: number): Promise<number> {
    return this.#run(this.#handle.write(source, position));
  }

  writev(sources: readonly Uint8Array[], position: number): Promise<number> {
    return this.#run(this.#handle.write(joined(sources), position, `${sources.length} parts `));
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#run(this.#handle.truncate(sizeBytes));
  }

  preallocate(sizeBytes: number): Promise<void> {
    return this.#run(this.#handle.preallocate(sizeBytes));
  }

  trim(position: number, lengthBytes: number): Promise<void> {
    return this.#run(this.#handle.trim(position, lengthBytes));
  }

  dataSync(): Promise<void> {
    return this.#run(this.#handle.dataSync());
  }

  sync(): Promise<void> {
    return this.#run(this.#handle.dataSync());
  }

  stat(): Promise<FileStat> {
    return this.#run(this.#handle.stat());
  }

  statSync(): OpenFileStat {
    return this.#handle.look();
  }

  close(): Promise<void> {
    return this.#run(this.#handle.close());
  }

  #run<T>({ kind, about, begin }: PlannedCall<T>): Promise<T> {
    const { calls, path } = this.#handle;
    return calls.run(kind, path, about, begin);
  }
}

/** As {@link CrashFile}, with blocking calls. */
export class CrashBlockingFile implements BlockingFile {
  readonly #handle: Handle;

  constructor(host: FileHost, file: FileInode, path: OpenedPath, mode: OpenMode) {
    this.#handle = new Handle(host, file, path, mode);
  }

  read(target: Uint8Array, position: number): number {
    return this.#run(this.#handle.read(target, position));
  }

  write(source: Uint8Array, position: number): number {
    return this.#run(this.#handle.write(source, position));
  }

  truncate(sizeBytes: number): void {
    this.#run(this.#handle.truncate(sizeBytes));
  }

  dataSync(): void {
    this.#run(this.#handle.dataSync());
  }

  statSync(): OpenFileStat {
    return this.#handle.look();
  }

  close(): void {
    this.#run(this.#handle.close());
  }

  #run<T>({ kind, about, begin }: PlannedCall<T>): T {
    const { calls, path } = this.#handle;
    return calls.runNow(kind, path, about, begin);
  }
}

interface PlannedCall<T> {
  readonly kind: CallKind;
  readonly about: CallDetail;
  readonly begin: Begin<T>;
}

/** The operations of an open file, shared by both interfaces. */
class Handle {
  readonly path: string;
  readonly #host: FileHost;
  readonly #file: FileInode;
  readonly #openedBy: string;
  readonly #mode: OpenMode;
  #state: 'open' | 'closed' = 'open';

  constructor(host: FileHost, file: FileInode, path: OpenedPath, mode: OpenMode) {
    this.#host = host;
    this.#file = file;
    this.path = path.shown;
    this.#openedBy = path.given;
    this.#mode = mode;
    file.openCount++;
  }

  get calls(): CallRunner {
    return this.#host.calls;
  }

  read(target: Uint8Array, position: number): PlannedCall<number> {
    const about = { detail: `@${position} +${target.length}`, lengthBytes: target.length };
    const begin: Begin<number> = (call) => {
      this.#require(call, 'reading');
      requireOffset(position, call.kind, call.path);
      return () => this.#file.live.read(target, position);
    };
    return { kind: 'read', about, begin };
  }

  readUntraced(target: Uint8Array, position: number): number {
    this.calls.requirePower('read', this.path);
    const fault = this.calls.faults.decide('read', this.path);
    if (fault !== undefined) throw systemError(fault.error, 'read', this.path);
    if (this.#state === 'closed') throw systemError('EBADF', 'read', this.path);
    return this.#file.live.read(target, position);
  }

  write(source: Uint8Array, position: number, parts = ''): PlannedCall<number> {
    const detail = `${parts}@${position} +${source.length}`;
    const about = { detail, lengthBytes: source.length };
    const begin: Begin<number> = (call) => {
      this.#require(call, 'writing');
      requireOffset(position, call.kind, call.path);
      return this.#beginWrite(call, source, position);
    };
    return { kind: 'write', about, begin };
  }

  truncate(sizeBytes: number): PlannedCall<void> {
    const begin: Begin<void> = (call) => {
      this.#require(call, 'writing');
      requireOffset(sizeBytes, call.kind, call.path);
      const growthBytes = sizeBytes - this.#file.live.sizeBytes;
      if (growthBytes > 0 && growthBytes > this.#host.disk.freeBytes()) {
        throw systemError('ENOSPC', call.kind, call.path);
      }
      const effect = this.#file.truncate(sizeBytes, call.startTick);
      return (endTick) => {
        effect.endTick = endTick;
      };
    };
    return {
      kind: 'truncate',
      about: { detail: `to ${sizeBytes}`, lengthBytes: sizeBytes },
      begin,
    };
  }

  preallocate(sizeBytes: number): PlannedCall<void> {
    const begin: Begin<void> = (call) => {
      this.#require(call, 'writing');
      requireOffset(sizeBytes, call.kind, call.path);
      const start = this.#file.live.sizeBytes;
      const zeros = new Uint8Array(Math.max(0, sizeBytes - start));
      const end = this.#beginWrite(call, zeros, start);
      return (endTick) => {
        try {
          if (end(endTick) === zeros.length) return;
        } catch (error) {
          this.#cutBack(start, endTick);
          throw error;
        }
        this.#cutBack(start, endTick);
        throw systemError(call.fault?.error ?? 'ENOSPC', call.kind, call.path);
      };
    };
    const detail = `zeros up to ${sizeBytes}`;
    return { kind: 'write', about: { detail, lengthBytes: sizeBytes }, begin };
  }

  trim(position: number, lengthBytes: number): PlannedCall<void> {
    const begin: Begin<void> = (call) => {
      this.#require(call, 'writing');
      requireOffset(position, call.kind, call.path);
      requireOffset(lengthBytes, call.kind, call.path);
      const effect = this.#file.trim(position, lengthBytes, call.startTick);
      return (endTick) => {
        if (effect !== undefined) effect.endTick = endTick;
      };
    };
    return { kind: 'trim', about: { detail: `@${position} +${lengthBytes}`, lengthBytes }, begin };
  }

  dataSync(): PlannedCall<void> {
    const begin: Begin<void> = (call) => {
      this.#require(call, 'reading');
      return () => this.#endSync(call);
    };
    return { kind: 'dataSync', about: {}, begin };
  }

  stat(): PlannedCall<FileStat> {
    const begin: Begin<FileStat> = (call) => {
      this.#require(call, 'reading');
      return () => ({ kind: 'file', sizeBytes: this.#file.live.sizeBytes });
    };
    return { kind: 'stat', about: {}, begin };
  }

  look(): OpenFileStat {
    this.calls.requirePower('stat', this.path);
    if (this.#state === 'closed') throw systemError('EBADF', 'stat', this.path);
    const { live, linkCount } = this.#file;
    return { sizeBytes: live.sizeBytes, linkCount, isNamed: this.#host.isNamed(this.#openedBy) };
  }

  close(): PlannedCall<void> {
    const begin: Begin<void> = (call) => {
      this.#require(call, 'reading');
      this.#state = 'closed';
      this.#file.openCount--;
      return () => undefined;
    };
    return { kind: 'close', about: {}, begin };
  }

  #beginWrite(call: Call, source: Uint8Array, position: number): (endTick: number) => number {
    const { fault } = call;
    const appliedBytes = this.#appliedBytes(fault, source.length, position);
    const effect =
      appliedBytes === 0
        ? undefined
        : this.#file.write(source.subarray(0, appliedBytes), position, call.startTick);
    return (endTick) => {
      const failed = fault !== undefined && !(fault.short && appliedBytes > 0);
      // At its crash point, a durable write is still in flight: any prefix of it may survive.
      try {
        if (effect !== undefined && this.#mode === 'rs+' && !failed) this.#endDurableWrite(effect);
      } finally {
        if (effect !== undefined) effect.endTick = endTick;
      }
      if (failed) throw systemError(fault.error, call.kind, call.path);
      if (appliedBytes === 0 && source.length > 0) {
        throw systemError('ENOSPC', call.kind, call.path);
      }
      return appliedBytes;
    };
  }

  /** After a failed preallocation, the file has its old length, not yet durably. */
  #cutBack(sizeBytes: number, endTick: number): void {
    if (this.#file.live.sizeBytes <= sizeBytes) return;
    this.#file.truncate(sizeBytes, endTick).endTick = endTick;
  }

  #appliedBytes(fault: Fault | undefined, lengthBytes: number, position: number): number {
    const room = this.#host.disk.roomFor(this.#file, position, lengthBytes);
    if (fault === undefined) return room;
    const wanted = fault.appliedBytes ?? (fault.short ? lengthBytes - 1 : 0);
    return Math.max(0, Math.min(room, wanted, lengthBytes - 1));
  }

  #endDurableWrite(effect: ReturnType<FileInode['write']>): void {
    const { calls, disk } = this.#host;
    const fault = calls.faults.decide('writeSync', this.path);
    if (fault !== undefined) {
      this.#file.doom([effect], fault.revert);
      throw systemError(fault.error, 'write', this.path);
    }
    this.#host.reachCrashPoint(this.path);
    disk.syncWrite(this.#file, effect);
  }

  #endSync(call: Call): void {
    if (call.fault !== undefined) {
      this.#file.doom(this.#file.coveredBy(call.startTick), call.fault.revert);
      throw systemError(call.fault.error, call.kind, call.path);
    }
    this.#host.reachCrashPoint(this.path);
    this.#host.disk.syncFile(this.#file, call.startTick);
  }

  #require(call: Call, access: 'reading' | 'writing'): void {
    const denied = access === 'writing' && this.#mode === 'r';
    if (this.#state === 'closed' || denied) throw systemError('EBADF', call.kind, call.path);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

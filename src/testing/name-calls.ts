import type { OpenMode } from '../fs/file-system.ts';
import type { Begin, Call } from './call-runner.ts';
import type { FileHost, OpenedPath } from './crash-file.ts';
import type { FileInode } from './disk/file-inode.ts';
import type { HeldDirectories } from './held-directories.ts';
import { systemError } from './disk/system-error.ts';

/** Calls on names: the blocking and the async form, and the checks common to all. */
export class NameCalls {
  readonly #host: FileHost;
  readonly #held: HeldDirectories;

  constructor(host: FileHost, held: HeldDirectories) {
    this.#host = host;
    this.#held = held;
  }

  opening<File>(path: string, mode: OpenMode, Opened: OpenedFile<File>): Begin<File> {
    return (call) => {
      if (mode === 'wx') return this.#beginCreate(call, path, Opened);
      const file = this.requireFile(path, call.kind);
      if (mode !== 'r') this.requireWritable(call);
      return () => new Opened(this.#host, file, { given: path, shown: call.path }, mode);
    };
  }

  unlinking(path: string): Begin<void> {
    return (call) => {
      this.requireFile(path, call.kind);
      const place = this.#held.locate(path, call.kind);
      return endEffect(this.#host.disk.unlink(place, call.startTick));
    };
  }

  syncingDirectory(path: string): Begin<void> {
    return (call) => {
      const id = this.requireDirectory(path, call.kind);
      return () => {
        this.#host.reachCrashPoint(call.path);
        this.#host.disk.syncDirectory(id, call.startTick);
      };
    };
  }

  kindOf(inodeId: number): 'file' | 'directory' {
    return this.#host.disk.names.directories.has(inodeId) ? 'directory' : 'file';
  }

  requireFile(path: string, syscall: string): FileInode {
    const file = this.#host.disk.file(this.#held.find(path, syscall));
    if (file === undefined) throw systemError('EISDIR', syscall, path);
    return file;
  }

  requireDirectory(path: string, syscall: string): number {
    const id = this.#held.find(path, syscall);
    if (this.kindOf(id) !== 'directory') throw systemError('ENOTDIR', syscall, path);
    return id;
  }

  requireWritable(call: Call): void {
    if (!this.#host.calls.isWritable) throw systemError('EROFS', call.kind, call.path);
  }

  #beginCreate<File>(
    call: Call,
    path: string,
    Opened: OpenedFile<File>,
  ): (endTick: number) => File {
    const place = this.#held.locate(path, call.kind);
    if (place.inodeId !== undefined) throw systemError('EEXIST', call.kind, call.path);
    this.requireWritable(call);
    const { file, effect } = this.#host.disk.createFile(place, call.startTick);
    return (endTick) => {
      effect.endTick = endTick;
      return new Opened(this.#host, file, { given: path, shown: call.path }, 'wx');
    };
  }
}

type OpenedFile<File> = new (
  host: FileHost,
  file: FileInode,
  path: OpenedPath,
  mode: OpenMode,
) => File;

/** The second half of a call that changes a name. */
export function endEffect(effect: { endTick: number }): (endTick: number) => void {
  return (endTick) => {
    effect.endTick = endTick;
  };
}

import { basename, dirname } from 'node:path';
import type {
  DirectoryEntry,
  DirectoryHold,
  FileSystem,
  OpenFile,
} from '../../src/fs/file-system.ts';
import type { CrashFs } from '../../src/testing/index.ts';
import { systemError } from '../../src/testing/disk/system-error.ts';

/** One file as it was visible at one moment. A renamed file keeps its id. */
interface VisibleFile {
  readonly id: number;
  readonly bytes: Uint8Array;
}

type Frame = ReadonlyMap<string, VisibleFile>;

/**
 * Everything that a reader can see while a writer works: all visible files after each of its calls.
 * A write of more than one byte is also visible half-done.
 */
export class Film {
  readonly frames: Frame[] = [];
  readonly #machine: CrashFs;
  readonly #ids: Map<string, number> = new Map();
  #nextId = 1;

  constructor(machine: CrashFs) {
    this.#machine = machine;
    this.#expose();
  }

  /** The file system for the writer. */
  get camera(): FileSystem {
    const machine = this.#machine;
    const after = async <T>(call: Promise<T>, rename?: () => void): Promise<T> => {
      const result = await call;
      rename?.();
      this.#expose();
      return result;
    };
    const own: Partial<FileSystem> = {
      open: async (path, mode) => {
        const file = await machine.open(path, mode);
        if (mode === 'wx') this.#expose();
        return mode === 'r' ? file : this.#film(file, path);
      },
      unlink: (path) => after(machine.unlink(path), () => this.#ids.delete(path)),
      rename: (from, to) =>
        after(machine.rename(from, to), () => {
          this.#ids.set(to, this.#ids.get(from)!);
          this.#ids.delete(from);
        }),
      tryLock: async (path) => {
        const lock = await after(machine.tryLock(path));
        return (
          lock && {
            writeRecord: (record) => after(lock.writeRecord(record)),
            writeClaim: (sector, position) => after(lock.writeClaim(sector, position)),
            writeNote: (sector, position) => after(lock.writeNote(sector, position)),
            release: () => lock.release(),
          }
        );
      },
      holdDirectory: async (path) => heldByPath(path),
    };
    return new Proxy<FileSystem>(machine, {
      get: (_target, name: keyof FileSystem) => {
        const member = own[name] ?? machine[name];
        return typeof member === 'function' ? member.bind(machine) : undefined;
      },
    });
  }

  #film(file: OpenFile, path: string): OpenFile {
    const unused = (): Promise<never> => Promise.reject(new Error('the store has no such calls'));
    return {
      read: (target, position) => file.read(target, position),
      writev: unused,
      preallocate: unused,
      trim: unused,
      sync: unused,
      statSync: (maxAgeMs) => file.statSync(maxAgeMs),
      write: async (source, position) => {
        const before = this.#machine.files().get(path);
        const count = await file.write(source, position);
        if (before !== undefined && count > 1) this.#exposeHalf(path, before, source, position);
        this.#expose();
        return count;
      },
      truncate: async (sizeBytes) => {
        await file.truncate(sizeBytes);
        this.#expose();
      },
      dataSync: () => file.dataSync(),
      stat: () => file.stat(),
      close: () => file.close(),
    };
  }

  #exposeHalf(path: string, before: Uint8Array, source: Uint8Array, position: number): void {
    const half = source.subarray(0, source.length >> 1);
    const bytes = new Uint8Array(Math.max(before.length, position + half.length));
    bytes.set(before);
    bytes.set(half, position);
    const last = this.frames.at(-1)!;
    const id = last.get(path)?.id;
    if (id !== undefined) this.frames.push(new Map(last).set(path, { id, bytes }));
  }

  #expose(): void {
    const frame = new Map<string, VisibleFile>();
    for (const [path, bytes] of this.#machine.files()) {
      const id = this.#ids.get(path) ?? this.#nextId++;
      this.#ids.set(path, id);
      frame.set(path, { id, bytes });
    }
    const last = this.frames.at(-1);
    if (last === undefined || !isSame(last, frame)) this.frames.push(frame);
  }

  /**
   * A file system for a reader. `momentOf` selects the frame that its nth call sees; it never
   * decreases.
   */
  project(momentOf: (call: number) => number): FileSystem & { readonly calls: () => number } {
    let calls = 0;
    let at = 0;
    const look = (): Frame => {
      at = Math.min(this.frames.length - 1, Math.max(at, momentOf(calls++)));
      return this.frames[at]!;
    };
    const found = (frame: Frame, path: string, syscall: string): VisibleFile => {
      const file = frame.get(path);
      if (file === undefined) throw systemError('ENOENT', syscall, path);
      return file;
    };
    const view: Partial<FileSystem> = {
      stat: async (path) => {
        const frame = look();
        const isDirectory = [...frame.keys()].some((one) => dirname(one) === path);
        if (isDirectory) return { kind: 'directory', sizeBytes: 0 };
        return { kind: 'file', sizeBytes: found(frame, path, 'stat').bytes.length };
      },
      readDirectory: async (path) =>
        [...look().keys()]
          .filter((one) => dirname(one) === path)
          .map((one): DirectoryEntry => ({ name: basename(one), kind: 'file' })),
      holdDirectory: async (path) => heldByPath(path),
      open: async (path, mode) => {
        if (mode !== 'r') throw systemError('EROFS', 'open', path);
        const { id } = found(look(), path, 'open');
        // A file without a name keeps its bytes for its open handles.
        const bytes = (): Uint8Array => {
          look();
          for (let moment = at; ; moment--) {
            const file = [...this.frames[moment]!.values()].find((one) => one.id === id);
            if (file !== undefined) return file.bytes;
          }
        };
        return readerOf(bytes);
      },
    };
    return Object.assign(view as FileSystem, { calls: () => calls });
  }
}

/** Addresses files by path, as the film does. */
function heldByPath(path: string): DirectoryHold {
  return {
    realPath: path,
    access: path,
    identity: { device: 1n, inode: 1n },
    check: async () => 'held',
    sync: async () => undefined,
    close: async () => undefined,
  };
}

function readerOf(bytes: () => Uint8Array): OpenFile {
  const refuse = (): Promise<never> => Promise.reject(systemError('EBADF', 'write', ''));
  return {
    read: async (target, position) => {
      const part = bytes().subarray(position, position + target.length);
      target.set(part);
      return part.length;
    },
    stat: async () => ({ kind: 'file', sizeBytes: bytes().length }),
    statSync: () => ({ sizeBytes: bytes().length, linkCount: 1, isNamed: true }),
    close: async () => undefined,
    write: refuse,
    writev: refuse,
    truncate: refuse,
    preallocate: refuse,
    trim: refuse,
    dataSync: refuse,
    sync: refuse,
  };
}

function isSame(a: Frame, b: Frame): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([path, { id, bytes }]) => {
    const other = b.get(path);
    return other?.id === id && Buffer.from(bytes).equals(other.bytes);
  });
}

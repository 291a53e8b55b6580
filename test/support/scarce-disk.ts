import { systemError } from '../../src/testing/disk/system-error.ts';
import { CrashFs } from '../../src/testing/index.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';

/** The resource that the disk lacks. */
export type Shortage = 'blocks' | 'inodes';

/** A directory takes one block. */
const BLOCK_BYTES = 4096;
const BALLAST = '/ballast';

/**
 * A simulated disk that is full from a given call on. `blocks`: no byte is free. `inodes`: no file
 * and no directory can be created. A removal frees its bytes or its inode.
 */
export class ScarceDisk {
  readonly machine: CrashFs;
  readonly fileSystem: FileSystem;
  readonly #shortage: Shortage;
  readonly #fullFrom: number;
  #calls = 0;
  #state: 'roomy' | 'filling' | 'full' = 'roomy';
  #freeInodes = Infinity;

  /** Restarts `found`. From call number `fullFrom` on, counted from 1, the disk is full. */
  constructor(found: CrashFs, shortage: Shortage, fullFrom: number) {
    this.#shortage = shortage;
    this.#fullFrom = fullFrom;
    this.machine = found.kill({ trace: false, scheduler: { turn: () => this.#turn() } });
    this.fileSystem = this.#scarce();
  }

  /** Number of calls so far. */
  get calls(): number {
    return this.#calls;
  }

  async #turn(): Promise<void> {
    if (this.#state === 'filling') return;
    this.#calls++;
    if (this.#state === 'roomy' && this.#calls >= this.#fullFrom) await this.fill();
  }

  /** From now on, nothing is free. */
  async fill(): Promise<void> {
    this.#state = 'filling';
    if (this.#shortage === 'inodes') this.#freeInodes = 0;
    else {
      const ballast = await this.machine.open(BALLAST, 'wx');
      await ballast.truncate(await this.machine.freeBytes('/'));
      await ballast.close();
    }
    this.#state = 'full';
  }

  /** Another program takes up to `count` free inodes. */
  takeInodes(count: number): void {
    this.#freeInodes = Math.max(0, this.#freeInodes - count);
  }

  /** Another program removes `count` files. */
  giveInodes(count: number): void {
    this.#freeInodes += count;
  }

  /** Creates a name with `make`, unless there is no inode, or no block for a directory. */
  async #made<T>(
    about: { readonly kind: string; readonly path: string; readonly blockBytes: number },
    make: () => Promise<T>,
  ): Promise<T> {
    const { kind, path, blockBytes } = about;
    const isFull = this.#state === 'full' && !(await this.#exists(path));
    const lacksBlock = isFull && (await this.machine.freeBytes('/')) < blockBytes;
    if (lacksBlock || (isFull && this.#freeInodes === 0)) throw systemError('ENOSPC', kind, path);
    const made = await make();
    this.#freeInodes--;
    return made;
  }

  #exists(path: string): Promise<boolean> {
    return this.machine.stat(path).then(
      () => true,
      () => false,
    );
  }

  #scarce(): FileSystem {
    const { machine } = this;
    const changed: Partial<FileSystem> = {
      open: (path, mode) => {
        if (mode !== 'wx') return machine.open(path, mode);
        const about = { kind: 'open', path, blockBytes: 0 };
        return this.#made(about, () => machine.open(path, mode));
      },
      makeDirectory: (path) => {
        const about = { kind: 'makeDirectory', path, blockBytes: BLOCK_BYTES };
        return this.#made(about, () => machine.makeDirectory(path));
      },
      takeLease: async (path, options) => {
        const about = { kind: 'takeLease', path, blockBytes: BLOCK_BYTES };
        const lease = await this.#made(about, () => machine.takeLease(path, options));
        return {
          isFresh: () => lease.isFresh(),
          renew: () => lease.renew(),
          release: async () => {
            await lease.release();
            this.#freeInodes++;
          },
          blocking: lease.blocking,
        };
      },
      unlink: async (path) => {
        await machine.unlink(path);
        this.#freeInodes++;
      },
      removeDirectory: async (path) => {
        await machine.removeDirectory(path);
        this.#freeInodes++;
      },
      rename: async (from, to) => {
        const replaces = await this.#exists(to);
        await machine.rename(from, to);
        if (replaces) this.#freeInodes++;
      },
    };
    return new Proxy<FileSystem>(machine, {
      get: (target, name) => {
        if (Object.hasOwn(changed, name)) return Reflect.get(changed, name) as unknown;
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
  }
}

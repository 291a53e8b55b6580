import type { OpenFile } from '../../src/fs/file-system.ts';
import type { CrashFs } from '../../src/testing/index.ts';

/** Room on a limited disk: enough for a merge to be tried. */
export const LIMITED_BYTES: number = 3 * 1024 * 1024;

/**
 * Takes up room on a disk. A file without a name, so that no crash state shows it, in a directory
 * of its own, so that making it syncs no name of the store.
 */
export class Ballast {
  readonly #machine: CrashFs;
  readonly #file: OpenFile;

  private constructor(machine: CrashFs, file: OpenFile) {
    this.#machine = machine;
    this.#file = file;
  }

  static async place(machine: CrashFs): Promise<Ballast> {
    const known = await machine.stat('/ballast').catch(() => undefined);
    if (known === undefined) {
      await machine.makeDirectory('/ballast');
      await machine.syncDirectory('/');
    }
    const file = await machine.open('/ballast/file', 'wx');
    await machine.unlink('/ballast/file');
    await machine.syncDirectory('/ballast');
    return new Ballast(machine, file);
  }

  /** Leaves this many bytes to others, or all. */
  async leave(freeBytes: number | 'all'): Promise<void> {
    await this.#file.truncate(0);
    if (freeBytes !== 'all') {
      const free = await this.#machine.freeBytes('/ballast');
      await this.#file.truncate(Math.max(0, free - freeBytes));
    }
    await this.#file.dataSync();
  }
}

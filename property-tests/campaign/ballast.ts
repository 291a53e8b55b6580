import type { OpenFile } from '../../src/fs/file-system.ts';
import type { CrashFs } from '../../src/testing/index.ts';

/** Capacity of a limited disk: enough for a merge attempt. */
export const LIMITED_BYTES: number = 3 * 1024 * 1024;

/**
 * Takes space on a disk. The file has no name, so no crash state contains it. Its directory is
 * separate, so that syncing it syncs no name of the store.
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

  /** Leaves this many bytes free, or all. */
  async leave(freeBytes: number | 'all'): Promise<void> {
    await this.#file.truncate(0);
    if (freeBytes !== 'all') {
      const free = await this.#machine.freeBytes('/ballast');
      await this.#file.truncate(Math.max(0, free - freeBytes));
    }
    await this.#file.dataSync();
  }
}

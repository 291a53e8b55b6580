import type { KeyCommands } from '../control/node-commands.ts';
import { keyFilePath, makeKey, readKeys, type StoredKey } from './key-file.ts';
import { withKeysLocked, writeKeys } from './key-file.ts';

/**
 * The access keys of a node's directory. A change is durable in the key file, and then known to the
 * server if the node runs, before it resolves. One change at a time, also of several processes.
 */
export class KeyRing implements KeyCommands {
  readonly #directory: string;
  readonly #apply: (keys: readonly StoredKey[]) => void;
  #last: Promise<unknown> = Promise.resolve();

  /** `apply` gives a running server its keys. */
  constructor(directory: string, apply: (keys: readonly StoredKey[]) => void = () => {}) {
    this.#directory = directory;
    this.#apply = apply;
  }

  listKeys(): Promise<readonly StoredKey[]> {
    return this.#next(() => readKeys(this.#directory));
  }

  addKey(): Promise<StoredKey> {
    return this.#change(async () => {
      const key = makeKey();
      await this.#write([...(await readKeys(this.#directory)), key]);
      return key;
    });
  }

  removeKey(accessKeyId: string): Promise<boolean> {
    return this.#change(async () => {
      const stored = await readKeys(this.#directory);
      const left = stored.filter((key) => key.accessKeyId !== accessKeyId);
      if (left.length === stored.length) return false;
      await this.#write(left);
      return true;
    });
  }

  /** Reads the file again. Resolves to the number of keys. @throws Error; the keys then stay. */
  reload(): Promise<number> {
    return this.#next(async () => {
      const keys = await readKeys(this.#directory);
      if (keys.length === 0) throw new Error(`${keyFilePath(this.#directory)} has no key`);
      this.#apply(keys);
      return keys.length;
    });
  }

  async #write(keys: readonly StoredKey[]): Promise<void> {
    await writeKeys(this.#directory, keys);
    this.#apply(keys);
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    return this.#next(() => withKeysLocked(this.#directory, work));
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

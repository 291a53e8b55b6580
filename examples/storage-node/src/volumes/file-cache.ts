import type { OpenFile } from 'lodestore/fs';

interface Entry {
  readonly file: Promise<OpenFile>;
  users: number;
  dropped: boolean;
}

/** Read descriptors, up to a limit: above it, the oldest unused one is closed. */
export class FileCache {
  readonly #open: (number: number) => Promise<OpenFile>;
  readonly #most: number;
  /** Ordered by last use. */
  readonly #entries = new Map<number, Entry>();
  opened = 0;

  constructor(open: (number: number) => Promise<OpenFile>, most: number) {
    this.#open = open;
    this.#most = most;
  }

  get size(): number {
    return this.#entries.size;
  }

  async use<T>(number: number, work: (file: OpenFile) => Promise<T>): Promise<T> {
    const entry = this.#take(number);
    entry.users++;
    try {
      return await work(await entry.file);
    } finally {
      entry.users--;
      if (entry.users === 0 && entry.dropped) await closeEntry(entry);
      this.#shrink();
    }
  }

  #take(number: number): Entry {
    let entry = this.#entries.get(number);
    if (entry === undefined) {
      const file = this.#open(number);
      const made: Entry = { file, users: 0, dropped: false };
      entry = made;
      this.opened++;
      // The next reader tries again.
      file.catch(() => {
        if (this.#entries.get(number) === made) this.#entries.delete(number);
      });
    } else {
      this.#entries.delete(number);
    }
    this.#entries.set(number, entry);
    return entry;
  }

  #shrink(): void {
    if (this.#entries.size <= this.#most) return;
    for (const [number, entry] of this.#entries) {
      if (entry.users > 0) continue;
      this.#entries.delete(number);
      entry.dropped = true;
      void closeEntry(entry);
      if (this.#entries.size <= this.#most) return;
    }
  }

  /** Closes it once its last user is done. */
  async drop(number: number): Promise<void> {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    this.#entries.delete(number);
    entry.dropped = true;
    if (entry.users === 0) await closeEntry(entry);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((number) => this.drop(number)));
  }
}

async function closeEntry(entry: Entry): Promise<void> {
  try {
    await (await entry.file).close();
  } catch {
    // It was opened for reading only: nothing is lost.
  }
}

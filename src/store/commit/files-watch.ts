import {
  type CorruptionError,
  FilesLostError,
  type StoreError,
  StorePoisonedError,
  systemCode,
} from '../../base/errors.ts';
import { begin } from '../../base/flow.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import type { Directory } from '../../fs/directory.ts';
import type { Health } from './health.ts';
import type { KeptFile } from './log-keeper.ts';
import type { StartTimer } from './log-sync.ts';
import { causeOfLoss } from './write-failure.ts';

export interface FilesWatchParts {
  readonly fs: Directory;
  readonly lock: DirectoryLock;
  readonly health: Health;
  readonly startTimer: StartTimer;
  /** The snapshot and the logs that hold what is not in it, as they are at the time of the call. */
  readonly files: () => readonly KeptFile[];
}

/** How often the names are looked at while nothing else asks for it. */
const LOOK_EVERY_MS = 5_000;

/**
 * Looks whether the files that hold the store are still where they were left: a file of that name,
 * not shorter. After each rotation, when a merge meets damage, before a backup, and every few
 * seconds.
 *
 * A descriptor does not tell: a log that somebody has renamed takes writes as before, and the next
 * open does not find it. What is gone is a `FilesLostError`, and poisons the store: each further
 * batch would be lost with it at the next open, and memory holds the only complete copy. A look
 * that fails otherwise proves nothing, and is left to the next.
 */
export class FilesWatch {
  readonly #parts: FilesWatchParts;
  #state: 'watching' | 'closed' = 'watching';
  #looking: Promise<void> | undefined;
  #stopTimer: () => void = () => undefined;

  constructor(parts: FilesWatchParts) {
    this.#parts = parts;
  }

  /** Starts the timer, which does not keep the process alive. */
  start(): void {
    this.#stopTimer = this.#parts.startTimer(LOOK_EVERY_MS, () => {
      if (this.#state === 'closed') return;
      this.start();
      void this.look();
    });
  }

  /**
   * Resolves when all files have been looked at; what is lost has poisoned the store by then. Never
   * rejects.
   */
  look(): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve();
    this.#looking ??= this.#look()
      .catch((bug: unknown) => void this.#parts.health.broken(bug))
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  /**
   * Why a reader found `damage`: what was cut while the store is open looks like it, and then that
   * is told.
   */
  async causeOf(damage: CorruptionError): Promise<StoreError> {
    await this.look();
    return this.#parts.health.poison ?? damage;
  }

  /** Resolves when nothing is looked at any more. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#looking;
    this.#stopTimer();
  }

  async #look(): Promise<void> {
    const { files, health } = this.#parts;
    for (const file of files()) {
      if (health.isPoisoned || this.#state === 'closed') return;
      const isLost = !(await this.#isThere(file));
      // A merge lets go of what it replaces before it removes it.
      if (isLost && files().some(({ path }) => path === file.path)) await this.#lose(file.path);
    }
  }

  async #isThere({ path, lengthBytes }: KeptFile): Promise<boolean> {
    try {
      const { kind, sizeBytes } = await this.#parts.fs.stat(path);
      return kind === 'file' && sizeBytes >= lengthBytes;
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      return systemCode(error) !== 'ENOENT';
    }
  }

  async #lose(path: string): Promise<void> {
    const { fs, lock, health } = this.#parts;
    const lost = await fs.requireHeld().then(
      () => FilesLostError.of(path),
      (error: unknown) => error,
    );
    if (!(lost instanceof StorePoisonedError)) throw lost;
    health.poisonWith(await begin(causeOfLoss(() => lock.whenHeld(), lost)));
  }
}

import {
  type CorruptionError,
  FilesLostError,
  type StoreError,
  StorePoisonedError,
  systemCode,
} from '../../base/errors.ts';
import { begin } from '../../base/flow.ts';
import type { Directory } from '../../fs/directory.ts';
import type { Fence } from './fence.ts';
import type { KeptFile } from './log-keeper.ts';
import type { StartTimer } from './log-sync.ts';

export interface FilesWatchParts {
  readonly fs: Directory;
  readonly fence: Fence;
  readonly startTimer: StartTimer;
  /** The current snapshot and the unmerged logs, at the time of the call. */
  readonly files: () => readonly KeptFile[];
}

/** Interval of the checks without another reason. */
const LOOK_EVERY_MS = 5_000;

/**
 * Checks that the store's files still exist under their names and were not truncated, and that the
 * lock file is the one that was locked. It runs after each rotation, when a merge finds damage,
 * before a backup, and every few seconds.
 *
 * An open descriptor does not reveal it: a renamed log still accepts writes, but the next open does
 * not find it. A lost file is a `FilesLostError` and poisons the store, because further batches
 * would be lost at the next open, and memory has the only complete copy. A check that fails for
 * another reason proves nothing and is repeated by the next one.
 */
export class FilesWatch {
  readonly #parts: FilesWatchParts;
  #state: 'watching' | 'closed' = 'watching';
  #looking: Promise<void> | undefined;
  #stopTimer: () => void = () => undefined;

  constructor(parts: FilesWatchParts) {
    this.#parts = parts;
  }

  get directoryPath(): string {
    return this.#parts.fs.realPath;
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
   * Resolves when all files were checked. If one is lost, the store is poisoned by then. Never
   * rejects.
   */
  look(): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve();
    this.#looking ??= this.#look()
      .catch((bug: unknown) => void this.#parts.fence.health.broken(bug))
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  /**
   * The cause of `damage` that a reader found. A file that was truncated while the store is open
   * looks damaged; then the poisoning error is returned.
   */
  async causeOf(damage: CorruptionError): Promise<StoreError> {
    await this.look();
    return this.#parts.fence.health.poison ?? damage;
  }

  /** Resolves when no check is running any more. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#looking;
    this.#stopTimer();
  }

  async #look(): Promise<void> {
    const { files } = this.#parts;
    const { health, lock } = this.#parts.fence;
    if (!health.isPoisoned) await lock.requireFile();
    for (const file of files()) {
      if (health.isPoisoned || this.#state === 'closed') return;
      const isLost = !(await this.#isThere(file));
      // A merge stops listing files before it removes them.
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
    const { fs, fence } = this.#parts;
    const lost = await fs.requireHeld().then(
      () => FilesLostError.of(path),
      (error: unknown) => error,
    );
    if (!(lost instanceof StorePoisonedError)) throw lost;
    fence.health.poisonWith(await begin(fence.causeOfLoss(lost, () => fence.lock.whenHeld())));
  }
}

import { wallMs } from '../../base/timers.ts';
import { CheckpointStoreError } from '../checkpoint/checkpoint-store.ts';
import type { WrittenCheckpoint } from '../checkpoint/checkpoints.ts';
import type { ReplicaFiles } from './replica-files.ts';
import type { ReplicaNode } from './replica-node.ts';
import type { ReplicaCheckpointFigures } from './replicated-stats.ts';

/** Writes the checkpoints of a node one at a time, trims the log up to them, and counts both. */
export class CheckpointKeeper {
  readonly #files: ReplicaFiles;
  readonly #node: ReplicaNode;
  #writing: Promise<unknown> = Promise.resolve();
  /** Undefined without a checkpoint store. */
  readonly #openedAtMs: number | undefined;
  #newest: { readonly position: bigint; readonly seenAtMs: number } | undefined;
  #written = 0;
  #failed = 0;
  #trims = 0;
  #trimmedTo: bigint | undefined;

  constructor(files: ReplicaFiles, node: ReplicaNode) {
    this.#files = files;
    this.#node = node;
    this.#openedAtMs = files.hasCheckpoints ? wallMs() : undefined;
  }

  get figures(): ReplicaCheckpointFigures {
    return {
      newestPosition: this.#newest?.position,
      newestSeenAtMs: this.#newest?.seenAtMs,
      unchangedSinceMs: this.#newest?.seenAtMs ?? this.#openedAtMs,
      written: this.#written,
      failed: this.#failed,
      trims: this.#trims,
      trimmedTo: this.#trimmedTo,
    };
  }

  /** Writes a checkpoint after those that were requested before; on the primary, trims the log. */
  write(): Promise<WrittenCheckpoint> {
    const run = async (): Promise<WrittenCheckpoint> => {
      const written = await this.#files.checkpoint(this.#node.replica, this.#node.signal);
      this.#written++;
      this.#see(written.position);
      await this.#trim();
      return written;
    };
    const done = this.#writing.then(() => this.#counted(run));
    this.#writing = done.catch(() => undefined);
    return done;
  }

  /**
   * On the primary, trims the log up to the second-newest checkpoint. Resolves to the position up
   * to which it was trimmed; undefined if there is nothing to trim.
   */
  trim(): Promise<bigint | undefined> {
    return this.#counted(() => this.#trim());
  }

  async #trim(): Promise<bigint | undefined> {
    if (!this.#node.isPrimary) return undefined;
    const { signal, replica } = this.#node;
    // So that this node can continue after a restart if no checkpoint can be read then.
    await replica.savePlace();
    const upTo = await this.#files.trim(replica.place, signal);
    if (upTo === undefined || upTo === this.#trimmedTo) return upTo;
    this.#trims++;
    this.#trimmedTo = upTo;
    return upTo;
  }

  /** Position of the newest checkpoint; undefined if there is none. */
  newest(): Promise<bigint | undefined> {
    return this.#counted(async () => {
      const { replica, signal } = this.#node;
      const position = await this.#files.newestCheckpoint(replica.place.logId, signal);
      if (position !== undefined) this.#see(position);
      return position;
    });
  }

  /** Counts a failure of the checkpoint store during a rebuild. */
  noteFailure(error: unknown): void {
    if (error instanceof CheckpointStoreError) this.#failed++;
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failed++;
      throw error;
    }
  }

  #see(position: bigint): void {
    if (this.#newest !== undefined && this.#newest.position >= position) return;
    this.#newest = { position, seenAtMs: wallMs() };
  }

  /** Resolves when none is being written. */
  async settled(): Promise<void> {
    await this.#writing;
  }
}

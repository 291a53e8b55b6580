import type { Lease, LeaseOptions } from '../fs/file-system.ts';
import { systemError } from './system-error.ts';

interface LeaseEntry {
  fresh: boolean;
  readonly onLost: ((cause: Error) => void) | undefined;
}

/**
 * Leases as other hosts see them. There is no clock: a lease is fresh until a test says otherwise. A
 * lease outlives the process that took it, as the file on a real disk does.
 */
export class LeaseTable {
  readonly #entries: Map<string, LeaseEntry> = new Map();

  /** Throws `ELOCKED` while somebody keeps the lease fresh. */
  take(path: string, options: LeaseOptions): Lease {
    if (this.#entries.get(path)?.fresh === true) throw systemError('ELOCKED', 'takeLease', path);
    const entry: LeaseEntry = { fresh: true, onLost: options.onLost };
    this.#entries.set(path, entry);
    return {
      isFresh: () => this.#entries.get(path) === entry && entry.fresh,
      release: () => {
        if (this.#entries.get(path) === entry) this.#entries.delete(path);
        return Promise.resolve();
      },
    };
  }

  /** Removes the lease, whoever holds it. */
  break(path: string): void {
    this.#entries.delete(path);
  }

  /** The holder has not refreshed for longer than the stale limit: anybody may take the lease now. */
  expire(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) entry.fresh = false;
  }

  /** Another host takes the lease and keeps it fresh; a holder here is told at once. */
  takeElsewhere(path: string): void {
    const lost = this.#entries.get(path);
    this.#entries.set(path, { fresh: true, onLost: undefined });
    lost?.onLost?.(systemError('ELOCKED', 'takeLease', path));
  }

  /** The leases as the next process finds them: those of the dead one are still there. */
  leftBehind(): LeaseTable {
    const table = new LeaseTable();
    for (const [path, { fresh }] of this.#entries) {
      table.#entries.set(path, { fresh, onLost: undefined });
    }
    return table;
  }
}

import type { Lease, LeaseOptions } from '../fs/file-system.ts';
import type { CallRunner } from './call-runner.ts';
import { systemError } from './disk/system-error.ts';

interface LeaseEntry {
  /** `ahead`: dated in the future and not refreshed. */
  state: 'fresh' | 'stale' | 'ahead';
  readonly options: LeaseOptions | undefined;
}

/** A lease without `renew`, which needs calls of the file system. */
export interface TableLease extends Omit<Lease, 'renew' | 'blocking'> {
  /**
   * Throws unless this lease is still held: `ELOCKED` if another holder has it, `ENOENT` if it was
   * removed.
   */
  requireOurs(): void;
  /** Makes the lease fresh again. */
  refresh(): void;
}

/**
 * Leases as other hosts see them. There is no clock: a lease is fresh until the test expires it. A
 * lease outlives the process that took it, as a file on a real disk does.
 */
export class LeaseTable {
  readonly #entries: Map<string, LeaseEntry> = new Map();

  /** Throws `ELOCKED` while the lease is being refreshed. */
  take(path: string, options: LeaseOptions): TableLease {
    const found = this.#entries.get(path);
    const isFree =
      found?.state === 'ahead' ? options.watch !== undefined : found?.state !== 'fresh';
    if (!isFree) throw systemError('ELOCKED', 'takeLease', path);
    if (found?.state === 'ahead') options.watch?.onProgress?.(options.staleMs);
    const entry: LeaseEntry = { state: 'fresh', options };
    this.#entries.set(path, entry);
    return {
      isFresh: () => this.#entries.get(path) === entry && entry.state === 'fresh',
      requireOurs: () => {
        const present = this.#entries.get(path);
        if (present === entry) return;
        throw systemError(present === undefined ? 'ENOENT' : 'ELOCKED', 'renewLease', path);
      },
      refresh: () => {
        entry.state = 'fresh';
      },
      release: () => {
        if (this.#entries.get(path) === entry) this.#entries.delete(path);
        return Promise.resolve();
      },
    };
  }

  /** Removes the lease of any holder. */
  break(path: string): void {
    this.#entries.delete(path);
  }

  /**
   * Simulates a holder that has not refreshed for longer than the stale limit: any host may now
   * take the lease. The holder finds out when it checks, or by `wake`.
   */
  expire(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) entry.state = 'stale';
  }

  /** Fires the holder's timer after the pause in which its lease became stale. */
  wake(path: string): void {
    this.#entries.get(path)?.options?.onOverdue?.();
  }

  /** Dates the lease in the future: it never becomes stale and is not refreshed. */
  dateAhead(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) entry.state = 'ahead';
  }

  /** Another host takes the lease and refreshes it. A holder here is notified at once. */
  takeElsewhere(path: string): void {
    const lost = this.#entries.get(path);
    this.#entries.set(path, { state: 'fresh', options: undefined });
    lost?.options?.onLost(systemError('ELOCKED', 'takeLease', path));
  }

  /** The leases that the next process finds, including those of the dead process. */
  leftBehind(): LeaseTable {
    const table = new LeaseTable();
    for (const [path, { state }] of this.#entries) {
      table.#entries.set(path, { state, options: undefined });
    }
    return table;
  }
}

/**
 * A lease whose renewal consists of two calls, as on a machine: a refresh, and a check after the
 * settling time.
 */
export function leaseOf(calls: CallRunner, path: string, lease: TableLease): Lease {
  const begin = (): (() => void) => {
    lease.requireOurs();
    return () => undefined;
  };
  const steps = ['refresh', 'settled'].map((detail) => ({ detail }));
  return {
    ...lease,
    renew: async () => {
      for (const step of steps) await calls.run('renewLease', path, step, begin);
      lease.refresh();
    },
    blocking: {
      // There is no clock, so a refresh is never due.
      refresh: () => undefined,
      renew: () => {
        for (const step of steps) calls.runNow('renewLease', path, step, begin);
        lease.refresh();
      },
    },
  };
}

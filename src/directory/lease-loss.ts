import { join } from 'node:path';
import { FencedError, StoreError, systemCode } from '../base/errors.ts';
import { LEASE_NAME, LOCK_NAME } from '../format/file-name.ts';

const AGAIN = 'then close this store and open it again';

type Text = (lease: string, directory: string, code: string) => string;

const rightMissing: Text = (lease, _, code) =>
  `the lease ${lease} could not be refreshed: ${code}, permission denied. Either the process changed ` +
  `its user after it opened the store, or the owner of the lease or of a parent ` +
  `directory was changed; open the store as the user that will run it`;

/** Messages of a failed refresh, by error code. */
const REFRESH_TEXTS: ReadonlyMap<string, Text> = new Map([
  [
    'ELOCKED',
    (lease, directory) =>
      `another host has taken over the lease ${lease}, or its modification time was changed, as by a ` +
      `file that is created in it; make sure that only one host writes to ${directory} and that the ` +
      `lease is empty, ${AGAIN}`,
  ],
  [
    'ENOENT',
    (lease, directory) =>
      `the lease ${lease} was removed, by hand or by another host that opened ${directory} ` +
      `meanwhile; make sure that nothing removes it, ${AGAIN}`,
  ],
  ['EPERM', rightMissing],
  ['EACCES', rightMissing],
  [
    'EROFS',
    (lease) =>
      `the lease ${lease} could not be refreshed: EROFS, the file system has become read-only. The ` +
      `system log says why; make it writable, ${AGAIN}`,
  ],
]);

/** The errors of a lost lease, with message and remedy by cause. */
export class LeaseLoss {
  readonly #directory: string;
  readonly #lockPath: string;
  readonly #leasePath: string;
  readonly #staleMs: number;

  constructor(directory: string, staleMs: number) {
    this.#directory = directory;
    this.#lockPath = join(directory, LOCK_NAME);
    this.#leasePath = join(directory, LEASE_NAME);
    this.#staleMs = staleMs;
  }

  /** `cause`: the error of a refresh, in time or after a pause. */
  ofRefresh(cause: unknown): FencedError {
    return this.#fenced(this.#refreshText(cause), cause);
  }

  /** After a pause this process holds the lease again, but another owner has written its record. */
  ofOwner(hostName: string | undefined): FencedError {
    const who = hostName === undefined ? 'somebody else' : `a process on host ${hostName}`;
    return this.#fenced(
      `this process was paused for more than ${this.#staleMs} ms, and ${who} has opened ` +
        `${this.#directory} meanwhile; close this store and open it again`,
      undefined,
    );
  }

  /** After a pause this process holds the lease again, but the files are not as it left them. */
  ofFiles(cause: unknown): FencedError {
    return this.#fenced(
      `this process was paused for more than ${this.#staleMs} ms, and files of ${this.#directory} ` +
        `have changed since, or cannot be read; close this store and open it again`,
      cause,
    );
  }

  /** The lock file was removed, renamed or replaced, so its kernel lock excludes nobody. */
  ofLockFile(): FencedError {
    return new FencedError(
      `${this.#lockPath} was removed, moved or replaced by another program while the store was ` +
        `open, so other processes can open ${this.#directory}; make sure that nothing changes this ` +
        `file, ${AGAIN}`,
      { path: this.#lockPath },
    );
  }

  ofRelease(): FencedError {
    return this.#fenced(`the lock on ${this.#directory} has been released`, undefined);
  }

  /** Not lost, but in doubt: for callers that cannot wait. */
  ofPause(): FencedError {
    return this.#fenced(
      `the lease on ${this.#directory} was not refreshed for ${this.#staleMs} ms, and it is not known ` +
        `yet whether another host has opened it; try again in a few seconds`,
      undefined,
    );
  }

  /** Not lost: the lease could not be removed at the close. */
  ofRemoval(cause: unknown): StoreError {
    const path = this.#leasePath;
    return new StoreError(
      'LODESTORE_IO',
      `${this.#directory} is closed, but its lease ${path} could not be removed: ` +
        `${systemCode(cause) ?? String(cause)}. On this machine it can be opened again at once, ` +
        `on another one after ${this.#staleMs / 1_000} s`,
      { path, cause },
    );
  }

  #refreshText(cause: unknown): string {
    const code = systemCode(cause) ?? String(cause);
    const text = REFRESH_TEXTS.get(code);
    if (text !== undefined) return text(this.#leasePath, this.#directory, code);
    return (
      `the lease ${this.#leasePath} could not be refreshed for ${this.#staleMs} ms: ${code}; ` +
      `make sure that ${this.#directory} is writable, ${AGAIN}`
    );
  }

  #fenced(message: string, cause: unknown): FencedError {
    return new FencedError(message, { path: this.#leasePath, cause });
  }
}

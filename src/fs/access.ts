import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { systemCode } from '../base/errors.ts';

/** Mode bit: in this directory, only the owner of a file may remove or rename it. */
const STICKY = 0o1000;

/** Checks permissions of this process without performing the operation. */
export interface PathAccess {
  /** The user of this process; undefined where the system has no users. */
  readonly userId: number | undefined;
  /**
   * The code of the error that creating or removing a name in the directory would get; undefined if
   * none.
   */
  refusalToChange(directory: string): Promise<string | undefined>;
  /** The owner of a path; undefined if there is nothing, or the system has no owners. */
  ownerOf(path: string): Promise<PathOwner | undefined>;
}

export interface PathOwner {
  readonly userId: number;
  /** True for a directory where only a file's owner may remove it. */
  readonly isSticky: boolean;
}

export const nodePathAccess: PathAccess = {
  get userId(): number | undefined {
    return process.geteuid?.();
  },
  async refusalToChange(directory) {
    try {
      await access(directory, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      return systemCode(error) ?? 'EACCES';
    }
  },
  async ownerOf(path) {
    if (process.geteuid === undefined) return undefined;
    const stats = await stat(path).catch(() => undefined);
    return stats && { userId: stats.uid, isSticky: (stats.mode & STICKY) !== 0 };
  },
};

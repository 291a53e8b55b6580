import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { systemCode } from '../base/errors.ts';

/** Bit of a mode: in this directory only the owner of a file may remove or rename it. */
const STICKY = 0o1000;

/** Checks permissions of this process without performing the operation. */
export interface PathAccess {
  /** Of this process; undefined where the system has none. */
  readonly userId: number | undefined;
  /**
   * Code of the error that making or removing a name in the directory would meet; undefined: none.
   */
  refusalToChange(directory: string): Promise<string | undefined>;
  /** Whose a path is; undefined where nothing is there, or the system has no owners. */
  ownerOf(path: string): Promise<PathOwner | undefined>;
}

export interface PathOwner {
  readonly userId: number;
  /** Of a directory: others than a file's owner may not remove it. */
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

import { constants } from 'node:os';

/** Codes that the simulated file system can fail with. */
export type SystemErrorCode =
  | 'EACCES'
  | 'EBADF'
  | 'EDQUOT'
  | 'EEXIST'
  | 'EFBIG'
  | 'EINVAL'
  | 'EIO'
  | 'EISDIR'
  | 'ELOCKED'
  | 'EMFILE'
  | 'ENFILE'
  | 'ENOENT'
  | 'ENOMEM'
  | 'ENOSPC'
  | 'ENOTDIR'
  | 'ENOTEMPTY'
  | 'EPERM'
  | 'EROFS'
  | 'EXDEV';

/** An error of the shape that Node's own file system calls reject with. */
export interface SystemError extends Error {
  readonly code: SystemErrorCode;
  /** Negative, as Node gives it; undefined for `ELOCKED`, which is no system's code. */
  readonly errno: number | undefined;
  readonly syscall: string;
  readonly path: string;
}

const ERROR_NUMBERS: Readonly<Record<string, number>> = constants.errno;

/** Makes the error that `syscall` on `path` rejects with. */
export function systemError(code: SystemErrorCode, syscall: string, path: string): SystemError {
  const number = ERROR_NUMBERS[code];
  const fields = {
    code,
    errno: number === undefined ? undefined : -number,
    syscall,
    path,
  };
  return Object.assign(new Error(`${code}: simulated, ${syscall} '${path}'`), fields);
}

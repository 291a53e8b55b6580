import { constants } from 'node:os';

/** The error codes of the simulated file system. */
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
  | 'EOPNOTSUPP'
  | 'EPERM'
  | 'EROFS'
  | 'EXDEV';

/** An error with the fields of Node's own file system errors. */
export interface SystemError extends Error {
  readonly code: SystemErrorCode;
  /** Negative, as in Node. Undefined for `ELOCKED`, which is no system error. */
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
  return Object.assign(new Error(`${code}: simulated failure of ${syscall} '${path}'`), fields);
}

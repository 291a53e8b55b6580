/** True if the system refused for lack of space, a quota, or a file size limit. */
export function isLackOfSpace(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

/**
 * True if the file system, or the machine, cannot free parts of files. `LODESTORE_NATIVE`: the
 * package that asks for it has no binary here.
 */
export function isWithoutHoles(error: unknown): error is Error {
  const { code } = (error ?? {}) as { code?: unknown };
  return (
    code === 'EOPNOTSUPP' || code === 'ENOTSUP' || code === 'ENOSYS' || code === 'LODESTORE_NATIVE'
  );
}

export function isMissing(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ENOENT';
}

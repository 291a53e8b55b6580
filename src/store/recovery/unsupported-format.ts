import { StoreError } from '../../base/errors.ts';

/** The error for a file that a later version of lodestore wrote. */
export function unsupportedFormat(path: string, version: number): StoreError {
  return new StoreError(
    'LODESTORE_UNSUPPORTED_FORMAT',
    `${path} has format version ${version}, which this version of lodestore does not read`,
    { path },
  );
}

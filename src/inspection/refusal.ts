import { StoreError, systemCode } from '../base/errors.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { Refusal } from './survey-options.ts';

/**
 * Describes an error that concerns one file, so that the other files can still be shown. Rethrows
 * all other errors, and ENOENT: if a file has vanished, the caller must read the directory again.
 */
export function refusalOf(error: unknown, path: string): Refusal {
  if (systemCode(error) === 'ENOENT') throw error;
  const mapped = storeErrorOf(error, { what: 'a file could not be read', path });
  const { code, message, cause } = requireStoreError(mapped);
  if (code !== 'LODESTORE_UNSUPPORTED_FORMAT' && code !== 'LODESTORE_IO') throw error;
  return { code, path, message, systemCode: systemCode(cause) };
}

function requireStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}

import { StoreError, systemCode } from '../base/errors.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { Refusal } from './survey-options.ts';

/**
 * What an error says of one file, so that the others are still shown. Rethrows what is not about
 * the file, and ENOENT: a file that has vanished is a reason to read the directory again.
 */
export function refusalOf(error: unknown, path: string): Refusal {
  if (systemCode(error) === 'ENOENT') throw error;
  const mapped = storeErrorOf(error, { what: 'a file could not be read', path });
  const { code, message } = requireStoreError(mapped);
  if (code !== 'LODESTORE_UNSUPPORTED_FORMAT' && code !== 'LODESTORE_IO') throw error;
  return { code, path, message };
}

function requireStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}

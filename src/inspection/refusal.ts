import { StoreError, systemCode } from '../base/errors.ts';
import type { Refusal } from './survey-options.ts';

/**
 * What an error says of one file, so that the others are still shown. Rethrows what is not about the file, and
 * ENOENT: a file that has vanished is a reason to read the directory again.
 */
export function refusalOf(error: unknown, path: string): Refusal {
  if (error instanceof StoreError) {
    if (error.code !== 'LODESTORE_UNSUPPORTED_FORMAT') throw error;
    return { code: error.code, path, message: error.message };
  }
  const code = systemCode(error);
  if (code === undefined || code === 'ENOENT') throw error;
  return { code: 'LODESTORE_IO', path, message: `${path} could not be read: ${code}` };
}

import { DamagedObjectError } from '../node-errors.ts';
import type { Volume } from '../volumes/volume.ts';

/**
 * Keeps upkeep away from a volume that cannot be read as a whole, so that it goes on with others.
 * The damage was reported where it was found.
 *
 * @throws any other error
 */
export function noteDamage(volume: Volume, error: unknown): void {
  if (!(error instanceof DamagedObjectError)) throw error;
  volume.damage ??= error.message;
}

import { NotPrimaryError } from '../log/log-errors.ts';
import type { ShardEntry } from './shard-map.ts';

/**
 * Settles as a write on the node `own`. A refusal that names no primary gets the one that the map
 * names: a node that was restarted has not read yet who took over.
 */
export async function redirected<T>(
  write: Promise<T>,
  own: string,
  entry: () => ShardEntry,
): Promise<T> {
  try {
    return await write;
  } catch (error) {
    if (!(error instanceof NotPrimaryError) || error.outcome !== 'not-applied') throw error;
    const { primary } = entry();
    if (error.address !== undefined || primary === undefined || primary === own) throw error;
    const message = `this node is not the primary; the map names ${primary}`;
    throw new NotPrimaryError(message, primary, { cause: error, outcome: error.outcome });
  }
}

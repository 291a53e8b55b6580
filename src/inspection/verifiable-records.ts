import { basename } from 'node:path';
import type { FileSystem } from '../fs/file-system.ts';
import { readSalvageable, type Salvageable } from '../store/salvage/salvage-reading.ts';
import { viewSource } from './source-view.ts';
import type { Survey } from './survey.ts';

/** Records that verify in a damaged directory, ascending, and what is left out. */
export type VerifiableRecords = Pick<Salvageable, 'columns' | 'losses'>;

/**
 * Reads what salvage would keep, without the files that the system cannot read. Nothing is written.
 */
export async function readVerifiable(
  fs: FileSystem,
  survey: Survey,
  signal: AbortSignal,
): Promise<VerifiableRecords> {
  const hidden = new Set(survey.refusals.map((refusal) => basename(refusal.path)));
  return readSalvageable(viewSource(fs, { hidden }), survey.directory, signal);
}

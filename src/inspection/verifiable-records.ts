import { basename } from 'node:path';
import type { FileSystem } from '../fs/file-system.ts';
import { readSettled } from '../store/recovery/settled-reading.ts';
import { readSalvageable, type Salvageable } from '../store/salvage/salvage-reading.ts';
import { viewSource } from './source-view.ts';
import type { Survey } from './survey.ts';

/** The valid records of a damaged directory, ascending, and the losses. */
export type VerifiableRecords = Pick<Salvageable, 'columns' | 'losses'>;

/** Reads what salvage would keep, without the unreadable files. Writes nothing. */
export async function readVerifiable(
  fs: FileSystem,
  survey: Survey,
  signal: AbortSignal,
): Promise<VerifiableRecords> {
  const hidden = new Set(survey.refusals.map((refusal) => basename(refusal.path)));
  return readBeside(viewSource(fs, { hidden }), survey.directory, signal);
}

/** As `readSalvageable`, where a store may be open: it reads again if a file was removed. */
export function readBeside(
  fs: FileSystem,
  directory: string,
  signal: AbortSignal,
): Promise<Salvageable> {
  return readSettled(
    directory,
    () => readSalvageable(fs, directory, signal),
    () => [],
  );
}

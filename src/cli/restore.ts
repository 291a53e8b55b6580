import { restoreOn, type RestoreReport } from '../store/backup/restore.ts';
import { copyFailure } from './backup.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatBytes, formatCount, formatMilliseconds } from './output/number-text.ts';

export interface RestoreCommandOptions {
  readonly json?: true;
}

/** An interrupted restore leaves nothing. It never overwrites files. */
export async function restoreStore(
  context: CommandContext,
  backup: string,
  directory: string,
  options: RestoreCommandOptions,
): Promise<number> {
  const { fs, bar, out, signal } = context;
  try {
    const onProgress = (progress: Parameters<typeof bar.report>[0]): void => bar.report(progress);
    const report = await restoreOn(fs, backup, directory, { signal, onProgress });
    bar.clear();
    out.line(options.json === true ? toJson({ backup, ...report }, 2) : textOf(report));
  } catch (error) {
    throw copyFailure(error);
  }
  await out.flush();
  return EXIT_OK;
}

function textOf(report: RestoreReport): string {
  const { directory, files, bytes, lastSequence, records, milliseconds } = report;
  const holding = records === undefined ? '' : ` (${countOf(records, 'record')})`;
  return (
    `Restored ${countOf(files, 'file')} of ${formatBytes(bytes)}, with all batches up to ` +
    `${formatCount(lastSequence)}${holding}, to ${directory} in ${formatMilliseconds(milliseconds)}. ` +
    `Every file matches its checksum.`
  );
}

import { resolve } from 'node:path';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { writeAncestorDirectory } from './records/ancestor-export.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { InterruptedError, UsageError } from './output/command-errors.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { FileOutput } from './output/file-output.ts';
import { FreshDirectory } from './fresh-directory.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatBytes } from './output/number-text.ts';
import { RecordSource } from '../inspection/record-source.ts';
import { headLine, recordLines, type TextFormat } from './records/record-text.ts';
import type { TextSink } from './output/text-sink.ts';
import { nextTurn } from '../base/timers.ts';

export interface ExportOptions {
  readonly format: TextFormat | 'ancestor';
  readonly out?: string;
  readonly hex?: true;
  readonly json?: true;
}

interface Exported {
  readonly records: number;
  readonly lengthBytes: number;
}

/**
 * Writes all records as they are on disk. The output file or directory gets its final name only
 * when it is complete.
 */
export async function exportRecords(
  context: CommandContext,
  directory: string,
  options: ExportOptions,
): Promise<number> {
  const { format, out } = options;
  if (out === undefined && options.json === true) {
    throw new UsageError('--json needs --out: without it the records go to stdout');
  }
  if (format === 'ancestor' && (out === undefined || options.hex === true)) {
    throw new UsageError('--format ancestor writes a directory: it needs --out, and has no --hex');
  }
  return onDirectory(context, directory, (held, path) => exportHeld(held, path, options));
}

async function exportHeld(
  context: CommandContext,
  directory: string,
  options: ExportOptions,
): Promise<number> {
  const { out } = options;
  const { fs, signal, bar } = context;
  const progress = new ProgressMeter((one) => bar.report(one));
  const source = await RecordSource.open({ fs, directory, signal, progress });
  try {
    if (out === undefined) {
      await writeText(context, source, context.out, options);
      bar.clear();
      return EXIT_OK;
    }
    const exported = await exportTo(context, source, { ...options, out, directory });
    bar.clear();
    tell(context, directory, { ...options, out }, exported);
    await context.out.flush();
    return EXIT_OK;
  } finally {
    await source.close();
  }
}

async function exportTo(
  context: CommandContext,
  source: RecordSource,
  options: ExportOptions & { readonly out: string; readonly directory: string },
): Promise<Exported> {
  const { fs, signal } = context;
  const { out, directory } = options;
  const target =
    options.format === 'ancestor'
      ? await FreshDirectory.create(fs, out, directory)
      : await FileOutput.create(fs, resolve(out), directory);
  try {
    const exported =
      target instanceof FreshDirectory
        ? await writeAncestorDirectory(target.fs, target.path, source.chunks())
        : await writeText(context, source, target, options);
    await target.finish();
    return target instanceof FreshDirectory
      ? exported
      : { ...exported, lengthBytes: target.lengthBytes };
  } catch (error) {
    await target.discard();
    if (signal.aborted) throw new InterruptedError(`interrupted; ${out} has been removed again`);
    throw error;
  }
}

async function writeText(
  { signal }: CommandContext,
  source: RecordSource,
  sink: TextSink,
  options: ExportOptions,
): Promise<Exported> {
  const format = options.format === 'csv' ? 'csv' : 'jsonl';
  const encoding = options.hex === true ? 'hex' : 'base64';
  sink.write(headLine(format, encoding));
  let records = 0;
  for await (const columns of source.chunks()) {
    records += columns.recordCount;
    sink.write(recordLines(columns, format, encoding));
    if (!sink.isFull) continue;
    await sink.flush();
    await nextTurn();
    signal.throwIfAborted();
  }
  await sink.flush();
  return { records, lengthBytes: 0 };
}

function tell(
  { out }: CommandContext,
  directory: string,
  options: ExportOptions & { readonly out: string },
  exported: Exported,
): void {
  const { format } = options;
  const { records, lengthBytes: bytes } = exported;
  if (options.json === true) {
    out.line(toJson({ directory, format, out: options.out, records, bytes }, 2));
  } else {
    out.line(`Exported ${countOf(records, 'record')} to ${options.out} (${formatBytes(bytes)}).`);
  }
}

import { nextTurn } from '../base/timers.ts';
import { CorruptionError } from '../base/errors.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { MetadataStore } from '../store/metadata-store.ts';
import { checkKeyspace, type KeyspaceOptions } from '../store/keyspace.ts';
import type { RangeOptions } from '../table/layer/key-range.ts';
import type { TableRecord } from '../table/layer/table-record.ts';
import { Table } from '../table/table.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { UsageError } from './output/command-errors.ts';
import { EXIT_DAMAGE, EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { keepingCode } from './output/output.ts';
import { lossText } from './text/loss-text.ts';
import { surveyDirectory } from '../inspection/survey.ts';
import { readVerifiable } from '../inspection/verifiable-records.ts';

export interface DumpOptions {
  readonly json?: true;
  readonly data?: true;
  readonly damaged?: true;
  readonly gte?: bigint;
  readonly lte?: bigint;
  readonly limit?: number;
  readonly reverse?: true;
  readonly keyspace?: KeyspaceOptions;
  readonly count?: true;
}

type Records = Iterable<[bigint, TableRecord]>;

/** Prints the records that recovery would load, one per line, in key order, or their number. */
export async function dump(
  context: CommandContext,
  directory: string,
  options: DumpOptions,
): Promise<number> {
  requireWithin(options);
  try {
    const store = await openToRead(context, directory);
    try {
      context.bar.clear();
      const { keyspace } = options;
      const reads = keyspace === undefined ? store : store.keyspace(keyspace);
      if (options.count === true) await printCount(context, reads, options);
      else await printRecords(context, reads.entries(rangeOf(options)), options);
    } finally {
      await store.close();
    }
    return EXIT_OK;
  } catch (error) {
    if (options.damaged !== true || !(error instanceof CorruptionError)) throw error;
    return await onDirectory(context, directory, (held, path) =>
      dumpDamaged(held, path, options, error),
    );
  }
}

/** @throws UsageError if a bound has more bits than the keys of the keyspace */
function requireWithin({ keyspace, gte, lte }: DumpOptions): void {
  if (keyspace === undefined) return;
  const keys = checkKeyspace(keyspace);
  try {
    if (gte !== undefined) keys.toFull(gte, '--gte');
    if (lte !== undefined) keys.toFull(lte, '--lte');
  } catch (error) {
    throw new UsageError((error as RangeError).message);
  }
}

function rangeOf({ gte, lte, limit, reverse }: DumpOptions): RangeOptions {
  return { gte, lte, limit, reverse };
}

function openToRead(context: CommandContext, directory: string): Promise<MetadataStore> {
  return MetadataStore.open(directory, {
    readOnly: true,
    signal: context.signal,
    onProgress: (progress) => context.bar.report(progress),
  });
}

async function dumpDamaged(
  context: CommandContext,
  directory: string,
  options: DumpOptions,
  found: CorruptionError,
): Promise<number> {
  const { fs, signal, err, bar } = context;
  const progress = new ProgressMeter((one) => bar.report(one));
  const survey = await surveyDirectory(fs, directory, {
    depth: 'logs',
    frames: false,
    signal,
    progress,
  });
  const { columns, losses } = await readVerifiable(fs, survey, signal);
  bar.clear();
  // Damage to a chunk is only found when the chunk is decoded.
  const damages = survey.damages.length > 0 ? survey.damages : [found];
  for (const { path, offset, reason } of damages) {
    err.line(`lodestore: ${path} is damaged at offset ${offset}: ${reason}`);
  }
  for (const { message } of survey.refusals) err.line(`lodestore: ${message}`);
  for (const loss of losses) err.line(`lodestore: left out: ${lossText(loss)}`);
  await err.flush();
  const recordCount = columns.reduce((sum, chunk) => sum + chunk.recordCount, 0);
  const table = new Table({ snapshot: columns, recordCount });
  return keepingCode(EXIT_DAMAGE, () =>
    printRecords(context, table.entries(rangeOf(options)), options),
  );
}

async function printCount(
  { out, signal }: CommandContext,
  reads: Pick<MetadataStore, 'count'>,
  { gte, lte, json }: DumpOptions,
): Promise<void> {
  const records = await reads.count({ gte, lte, signal });
  out.line(json === true ? toJson({ records }) : String(records));
  await out.flush();
}

async function printRecords(
  context: CommandContext,
  records: Records,
  options: DumpOptions,
): Promise<void> {
  const { out, signal } = context;
  const lineOf = options.json === true ? jsonLine : textLine;
  const showsData = options.data === true;
  for (const [key, record] of records) {
    out.line(lineOf(key, record, showsData));
    if (!out.isFull) continue;
    await out.flush();
    // Yields to the event loop, so that Ctrl-C is handled.
    await nextTurn();
    signal.throwIfAborted();
  }
  await out.flush();
}

function textLine(key: bigint, record: TableRecord, showsData: boolean): string {
  const line = `${key} ${record.value} ${record.data.length}`;
  return showsData ? `${line} ${hexOf(record.data)}`.trimEnd() : line;
}

function jsonLine(key: bigint, record: TableRecord, showsData: boolean): string {
  const { value, data } = record;
  const hex = showsData ? `,"data":"${hexOf(data)}"` : '';
  return `{"key":"${key}","value":"${value}","dataLength":${data.length}${hex}}`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

import { capacityOf, type Capacity, type CapacityQuestion } from './capacity-model.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatBytes, formatMilliseconds } from './output/number-text.ts';

export interface CapacityOptions {
  readonly records: number;
  readonly dataBytes: number;
  readonly ascending?: true;
  readonly json?: true;
}

/** No machine has enough memory for more. */
export const MAX_RECORDS = 1e12;

/** Prints the figures. Accesses no files. */
export async function capacity(context: CommandContext, options: CapacityOptions): Promise<number> {
  const { records, dataBytes } = options;
  const question = { records, dataBytes, ascending: options.ascending === true };
  const answer = capacityOf(question);
  const lines =
    options.json === true ? [toJson({ ...question, ...answer }, 2)] : textOf(question, answer);
  for (const line of lines) context.out.line(line);
  await context.out.flush();
  return EXIT_OK;
}

function textOf(question: CapacityQuestion, { disk, memory, open }: Capacity): string[] {
  const { records, dataBytes, ascending } = question;
  const ids = ascending ? 'ascending' : 'random';
  return [
    `${countOf(records, 'record')} with ${ids} ids and ${countOf(dataBytes, 'byte')} of data each:`,
    '',
    `disk    ${formatBytes(disk.restBytes).padStart(10)}  after a merge, if the data does not compress`,
    `        ${formatBytes(disk.mostBytes).padStart(10)}  at most, while a merge runs`,
    `memory  ${formatBytes(memory.tableBytes).padStart(10)}  the records`,
    `        ${formatBytes(memory.residentBytes).padStart(10)}  the process, opened`,
    `        ${formatBytes(memory.writingBytes).padStart(10)}  the process, written to without a pause`,
    `open    ${formatMilliseconds(open.fromMs)} to ${formatMilliseconds(open.toMs)}, on two idle cores, with the files in the page cache`,
    '',
    'From constants measured on stores of 1 and 10 million records; docs/CLI.md says how.',
  ];
}

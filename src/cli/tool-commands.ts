import type { Command } from 'commander';
import { addBackup } from './backup.ts';
import { addCapacity } from './capacity.ts';
import type { CommandContext } from './output/command-context.ts';
import { addExplain } from './explain.ts';
import { addExport } from './export.ts';
import { addImport } from './import.ts';
import { addMerge } from './merge.ts';
import { addRestore } from './restore.ts';
import { addSalvage } from './salvage.ts';
import { addStats } from './stats.ts';

/** Commands that count, explain, mend and convert. */
export function addTools(
  program: Command,
  context: CommandContext,
  finish: (code: number) => void,
): void {
  for (const add of [
    addStats,
    addExplain,
    addSalvage,
    addMerge,
    addCapacity,
    addExport,
    addImport,
    addBackup,
    addRestore,
  ]) {
    add(program, context, finish);
  }
}

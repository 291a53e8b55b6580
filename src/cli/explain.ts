import { CorruptionError, StoreError } from '../base/errors.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { isStoreOfNode } from '../replicated/node/node-examination.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import { EXIT_DAMAGE, EXIT_IO, EXIT_LOCKED, EXIT_OK } from './output/exit-code.ts';
import { explainDamaged } from './text/explain-damage.ts';
import { explainError, explainRefused } from './text/explain-refusal.ts';
import { explainOpening } from './text/explain-opening.ts';
import { explainIncomplete, explainNoStore } from './text/explain-sound.ts';
import type { ExplainResult } from './text/explain-result.ts';
import { toJson } from './output/json-text.ts';
import { findObstacles, ownersOf } from '../inspection/obstacles.ts';
import { findCopies } from '../inspection/store-copies.ts';
import { confirmOwner } from '../inspection/source-lock.ts';
import { surveyDirectory, type Survey } from '../inspection/survey.ts';

export interface ExplainOptions {
  readonly json?: true;
}

const EXIT_CODES: Readonly<Record<ExplainResult['state'], number>> = {
  opens: EXIT_OK,
  locked: EXIT_LOCKED,
  blocked: EXIT_IO,
  damaged: EXIT_DAMAGE,
  unreadable: EXIT_IO,
  'newer format': EXIT_IO,
  incomplete: EXIT_IO,
  'no store': EXIT_IO,
  missing: EXIT_IO,
};

/** Reads all files and explains them. The exit code is that of an attempt to open the store. */
export async function explain(
  context: CommandContext,
  directory: string,
  options: ExplainOptions,
): Promise<number> {
  const explanation = await explanationOf(context, directory);
  context.bar.clear();
  const lines = options.json === true ? [toJson(explanation, 2)] : textOf(explanation);
  for (const line of lines) context.out.line(line);
  return EXIT_CODES[explanation.state];
}

async function explanationOf(context: CommandContext, directory: string): Promise<ExplainResult> {
  const { signal, bar } = context;
  const options = {
    depth: 'chunks' as const,
    frames: false,
    signal,
    progress: new ProgressMeter((progress) => bar.report(progress)),
  };
  try {
    return await onDirectory(context, directory, async (held, path) =>
      explainSurvey(held, await surveyDirectory(held.fs, path, options)),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StoreError && error.code === 'LODESTORE_INCOMPLETE') {
      return explainIncomplete(directory);
    }
    const explanation =
      error instanceof CorruptionError ? undefined : explainError(directory, error);
    if (explanation === undefined) throw error;
    return explanation;
  }
}

async function explainSurvey(
  { fs, access, signal }: CommandContext,
  found: Survey,
): Promise<ExplainResult> {
  const { directory, owner } = found;
  const survey = { ...found, owner: owner && (await confirmOwner(fs, directory, owner)) };
  switch (survey.outcome) {
    case 'opens':
      return explainOpening(survey, {
        obstacles: await findObstacles(fs, access, survey),
        owners: await ownersOf(access, survey),
        userId: access?.userId,
      });
    case 'damaged':
      return ofNode(fs, await explainDamaged(fs, survey, signal));
    case 'refused':
      return explainRefused(survey);
    case 'no store':
      return explainNoStore(survey, await findCopies(fs, survey.directory));
  }
}

/** A replicated node that is opened fills its store again. A repair in place would fork it. */
async function ofNode(fs: FileSystem, explained: ExplainResult): Promise<ExplainResult> {
  if (!(await isStoreOfNode(fs, explained.directory))) return explained;
  const { because, choices } = explained;
  return {
    ...explained,
    because: [
      ...because,
      'It is the store of a replicated node: when the node is opened, it is filled from the checkpoints and the ' +
        'shared log. Do not open this directory by itself.',
    ],
    choices: choices.filter(({ command }) => command.startsWith('lodestore ')),
  };
}

function textOf({ directory, summary, because, choices, next }: ExplainResult): string[] {
  const lines = [directory, summary, '', 'Why:', ...because.map((line) => `  ${line}`)];
  if (choices.length > 0) lines.push('', 'Choices:');
  for (const [i, { command, effect, loses }] of choices.entries()) {
    lines.push(`  ${i + 1}. ${command}`, `     ${effect}`);
    for (const loss of loses) lines.push(`     lost: ${loss}`);
  }
  lines.push('', `Next: ${next.command}`, `  ${next.why}`);
  return lines;
}

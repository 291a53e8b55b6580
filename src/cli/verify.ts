import { damageHint } from '../store/recovery/advice.ts';
import { noStoreError } from '../store/recovery/directory-state.ts';
import { ProgressMeter } from '../store/recovery/progress-meter.ts';
import { onDirectory } from './on-directory.ts';
import type { CommandContext } from './output/command-context.ts';
import type { Damage } from '../inspection/damage.ts';
import { consequenceOf, damageError, placeText } from './text/damage-text.ts';
import { EXIT_DAMAGE, EXIT_IO, EXIT_OK } from './output/exit-code.ts';
import { toJson } from './output/json-text.ts';
import { countOf, formatCount } from './output/number-text.ts';
import { surveyDirectory, type Survey } from '../inspection/survey.ts';

export interface VerifyOptions {
  readonly json?: true;
}

/**
 * What was read. Leftovers are read too, but damage to them is only a remark, because nothing
 * depends on them.
 */
interface Tally {
  readonly logs: number;
  readonly frames: number;
  readonly snapshots: number;
  readonly chunks: number;
  readonly bytes: number;
  /** Damage to files that the newest snapshot has replaced. */
  readonly leftoverDamages: readonly Damage[];
}

/** Reads everything in a directory and reports whether it is what was written. */
export function verify(
  context: CommandContext,
  directory: string,
  options: VerifyOptions,
): Promise<number> {
  return onDirectory(context, directory, (held, path) => verifyHeld(held, path, options));
}

async function verifyHeld(
  context: CommandContext,
  directory: string,
  options: VerifyOptions,
): Promise<number> {
  const survey = await surveyDirectory(context.fs, directory, {
    depth: 'chunks',
    frames: false,
    signal: context.signal,
    progress: new ProgressMeter((progress) => context.bar.report(progress)),
  });
  context.bar.clear();
  const tally = tallyOf(survey);
  if (options.json === true) context.out.line(toJson(jsonOf(survey, tally), 2));
  else for (const line of textOf(survey, tally)) context.out.line(line);
  return report(context, survey);
}

function report(context: CommandContext, survey: Survey): number {
  const { damages, refusals, directory, outcome } = survey;
  for (const refusal of refusals) context.err.line(`lodestore: ${refusal.message}`);
  if (outcome === 'no store') {
    context.err.line(`lodestore: ${noStoreError(directory).message}`);
  }
  if (damages.length > 0) {
    const error = damageError(damages, damageHint(directory));
    context.err.line(`lodestore: ${error.message}`);
    return EXIT_DAMAGE;
  }
  return outcome === 'opens' ? EXIT_OK : EXIT_IO;
}

function tallyOf(survey: Survey): Tally {
  const { logs, snapshots, sizes } = survey;
  const scans = logs.flatMap((log) => log.scan ?? []);
  const states = snapshots.flatMap(({ state }) =>
    state?.format === 'lodestore' ? state.file : [],
  );
  let bytes = 0;
  for (const size of sizes.values()) bytes += size;
  return {
    logs: scans.length,
    frames: scans.reduce((sum, scan) => sum + scan.frameCount, 0),
    snapshots: snapshots.length,
    chunks: states.reduce((sum, file) => sum + file.index.entries.length, 0),
    bytes,
    leftoverDamages: leftoverDamages(survey),
  };
}

function leftoverDamages(survey: Survey): Damage[] {
  const { snapshots, logs } = survey;
  const newest = snapshots.at(-1)?.number ?? -1;
  const damages = snapshots.slice(0, -1).flatMap((snapshot) => snapshot.damages);
  for (const { number, path, scan } of logs) {
    if (number > newest || scan === undefined || !('reason' in scan.ending)) continue;
    const { offset, reason } = scan.ending;
    damages.push({ path, offset, reason, hint: '' });
  }
  return damages;
}

function textOf(survey: Survey, tally: Tally): string[] {
  const lines = [
    `Read ${countOf(tally.bytes, 'byte')}: ${countOf(tally.snapshots, 'snapshot')} of ` +
      `${countOf(tally.chunks, 'chunk')}, ${countOf(tally.logs, 'log')} of ${countOf(tally.frames, 'frame')}.`,
  ];
  for (const damage of survey.damages) {
    lines.push(`damaged: ${damage.path}, ${placeText(damage)}`);
    const consequence = consequenceOf(damage);
    if (consequence !== '') lines.push(`  ${consequence}`);
  }
  for (const damage of tally.leftoverDamages) {
    const remark = 'a leftover of a merge, nothing depends on it';
    lines.push(`remark: ${damage.path}, ${placeText(damage)} (${remark})`);
  }
  if (survey.opening?.torn !== undefined) {
    const { name, offset, bytes } = survey.opening.torn;
    lines.push(
      `remark: ${name} ends in an incomplete group of ${countOf(bytes, 'byte')} at offset ` +
        `${formatCount(offset)}: a torn write, or damage to its last group, which looks the same`,
    );
  }
  if (survey.outcome === 'opens') lines.push('No damage found.');
  return lines;
}

function jsonOf(survey: Survey, tally: Tally): unknown {
  const { directory, outcome, damages, refusals } = survey;
  const ok = outcome === 'opens';
  return { directory, ok, outcome, ...tally, torn: survey.opening?.torn, damages, refusals };
}

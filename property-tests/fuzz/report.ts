import type { FileCoverage } from './coverage.ts';
import type { TargetFigures } from './fuzzer.ts';
import type { Target } from './target.ts';

/** Executions, speed, corpus and distinct outcomes per target. */
export function figureLines(
  targets: readonly Target[],
  figures: ReadonlyMap<string, TargetFigures>,
): string[] {
  const lines = [`${'target'.padEnd(18)} executions  per second   corpus     kept  outcomes`];
  for (const { name, seeds } of targets) {
    const found = figures.get(name);
    if (found === undefined) continue;
    const { executions, busyMs, kept, outcomes } = found;
    const perSecond = Math.round((1000 * executions) / Math.max(busyMs, 1));
    const numbers = [
      String(executions).padStart(10),
      String(perSecond).padStart(11),
      String(seeds.length).padStart(8),
      String(kept).padStart(8),
      String(outcomes.size).padStart(9),
    ];
    lines.push(`${name.padEnd(18)} ${numbers.join(' ')}`);
  }
  return lines;
}

/** The source code that ran, in bytes per file. */
export function coverageLines(files: readonly FileCoverage[]): string[] {
  const lines = ['covered code:'];
  for (const { file, coveredBytes, totalBytes } of files) {
    const percent = Math.floor((100 * coveredBytes) / Math.max(totalBytes, 1));
    lines.push(`  ${String(percent).padStart(3)} %  ${file}`);
  }
  return lines;
}

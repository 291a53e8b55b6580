import { MutatedCopy, runNode } from '../campaign/mutated-copy.ts';
import { REPLICATED_MUTANTS, type ReplicatedMutant } from './mutants.ts';

const MAIN = 'property-tests/replicated/main.ts';
const HOOK = './test/support/register-typescript.mjs';
/** Several times as many as the rarest mistake needs. */
const HISTORIES = '60';

function partOf({ part }: ReplicatedMutant): string[] {
  return part === undefined ? [] : ['--part', part];
}

/** Plants each mistake in a copy of the sources. Resolves to the number of mistakes not caught. */
export async function plantAll(only: string, print: (text: string) => void): Promise<number> {
  const copy = await MutatedCopy.make();
  let escaped = 0;
  print('| Mistake | Caught by |');
  print('| --- | --- |');
  try {
    for (const [mistake, mutant] of Object.entries(REPLICATED_MUTANTS)) {
      if (!mistake.includes(only)) continue;
      const restore = await copy.plant(mutant);
      const program =
        mutant.test === undefined
          ? ['--import', HOOK, MAIN, '--histories', HISTORIES, ...partOf(mutant)]
          : ['node_modules/vitest/vitest.mjs', 'run', mutant.test];
      const { code, output } = await runNode(copy.directory, program);
      const verdict = /^broken by (.*) after \d+ histories$/m.exec(output)?.[0];
      const caughtBy =
        verdict ?? (mutant.test !== undefined && code !== 0 ? mutant.test : undefined);
      if (caughtBy === undefined && code !== 0)
        throw new Error(`${mistake} did not run: ${output}`);
      if (caughtBy === undefined) escaped++;
      print(`| ${mistake} | ${caughtBy ?? 'NOT CAUGHT'} |`);
      await restore();
    }
  } finally {
    await copy.remove();
  }
  return escaped;
}

import { FAULTY_FILE_SYSTEMS } from './faulty-file-systems.ts';
import type { Mutant } from './mutant.ts';
import { MUTANTS } from './mutants.ts';
import { MutatedCopy, runNode } from './mutated-copy.ts';

/** The failure that caught a planted mistake. */
interface Catch {
  readonly mistake: string;
  readonly where: 'file system' | 'source';
  readonly caughtBy: string | undefined;
  readonly states: string;
}

const MAIN = 'property-tests/campaign/main.ts';
const HOOK = './test/support/register-typescript.mjs';
/** Several times as many as the rarest mistake needs. */
const STATES = 25_000;

async function campaign(
  directory: string,
  args: readonly string[],
): Promise<Pick<Catch, 'caughtBy' | 'states'>> {
  const fixed = [
    '--import',
    HOOK,
    MAIN,
    '--states',
    String(STATES),
    '--no-shrink',
    '--calls',
    'short',
  ];
  const { code, output } = await runNode(directory, [...fixed, ...args]);
  const verdict = /^broken by (.*) after (\d+ .*)$/m.exec(output);
  if (verdict !== null) return { caughtBy: verdict[1], states: verdict[2]! };
  if (code !== 0) throw new Error(`the campaign failed to run: ${output}`);
  return { caughtBy: undefined, states: '' };
}

async function namedTest(
  directory: string,
  test: string,
): Promise<Pick<Catch, 'caughtBy' | 'states'>> {
  const { code, output } = await runNode(directory, [
    'node_modules/vitest/vitest.mjs',
    'run',
    test,
  ]);
  const ran = /Tests .*\b(failed|passed)\b/.test(output);
  if (!ran) throw new Error(`${test} failed to run: ${output}`);
  return { caughtBy: code === 0 ? undefined : test, states: '–' };
}

function tell({ mistake, where, caughtBy, states }: Catch): string {
  return `| ${mistake} | ${where} | ${caughtBy ?? 'NOT CAUGHT'} | ${states} |`;
}

/** The programs that show a mistake. */
function programsOf({ durability, commits }: Mutant): string[] {
  return ['--durability', durability ?? 'sync', '--commits', commits ?? 'background'];
}

const wanted = process.argv[2];
const isWanted = (name: string): boolean => wanted === undefined || name.includes(wanted);
const copy = await MutatedCopy.make();
let escaped = 0;

function report(caught: Catch): void {
  if (caught.caughtBy === undefined) escaped++;
  process.stdout.write(`${tell(caught)}\n`);
}

process.stdout.write('| Mistake | Planted in | Caught by | After |\n| --- | --- | --- | --- |\n');
try {
  for (const mistake of Object.keys(FAULTY_FILE_SYSTEMS).filter(isWanted)) {
    const found = await campaign(copy.directory, ['--fault', mistake]);
    report({ mistake, where: 'file system', ...found });
  }
  for (const [mistake, mutant] of Object.entries(MUTANTS).filter(([name]) => isWanted(name))) {
    const restore = await copy.plant(mutant);
    const found =
      mutant.test === undefined
        ? await campaign(copy.directory, programsOf(mutant))
        : await namedTest(copy.directory, mutant.test);
    report({ mistake, where: 'source', ...found });
    await restore();
  }
} finally {
  await copy.remove();
}
if (escaped > 0) {
  process.stdout.write(`\n${escaped} mistakes escaped\n`);
  process.exitCode = 1;
}

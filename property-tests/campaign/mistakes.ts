import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FAULTY_FILE_SYSTEMS } from './faulty-file-systems.ts';
import type { Mutant } from './mutant.ts';
import { MUTANTS } from './mutants.ts';

/** What caught a planted mistake. */
interface Catch {
  readonly mistake: string;
  readonly where: 'file system' | 'source';
  readonly caughtBy: string | undefined;
  readonly states: string;
}

const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = 'property-tests/campaign/main.ts';
const HOOK = './test/support/register-typescript.mjs';
const COPIED = [
  'src',
  'test',
  'examples',
  'property-tests',
  'package.json',
  'vitest.config.ts',
  'tsconfig.json',
  'tsconfig.check.json',
];
/** Enough for the rarest mistake, several times over. */
const STATES = 25_000;

/** A copy of the sources in which one place at a time is changed. */
class Copy {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<Copy> {
    const directory = await mkdtemp(join(tmpdir(), 'lodestore-mistakes-'));
    for (const name of COPIED)
      await cp(join(ROOT, name), join(directory, name), { recursive: true });
    // Links to the packages, but a place of its own for compiled sources.
    await mkdir(join(directory, 'node_modules'));
    for (const name of await readdir(join(ROOT, 'node_modules'))) {
      if (name.startsWith('.') && name !== '.bin') continue;
      await symlink(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name));
    }
    return new Copy(directory);
  }

  async plant(mutant: Mutant): Promise<() => Promise<void>> {
    const places = mutant.also === undefined ? [mutant] : [mutant, mutant.also];
    const restores: (() => Promise<void>)[] = [];
    for (const place of places) restores.push(await this.#change(place));
    return async () => {
      // Two places may be in one file: the last change goes first.
      for (const restore of restores.toReversed()) await restore();
    };
  }

  async #change({
    file,
    find,
    replace,
  }: Pick<Mutant, 'file' | 'find' | 'replace'>): Promise<() => Promise<void>> {
    const path = join(this.directory, file);
    const source = await readFile(path, 'utf8');
    const parts = source.split(find);
    if (parts.length !== 2) {
      throw new Error(`${parts.length - 1} places in ${file} read: ${find}`);
    }
    await writeFile(path, parts.join(replace));
    return () => writeFile(path, source);
  }

  remove(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}

function run(
  directory: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

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
  const { code, output } = await run(directory, [...fixed, ...args]);
  const verdict = /^broken by (.*) after (\d+ .*)$/m.exec(output);
  if (verdict !== null) return { caughtBy: verdict[1], states: verdict[2]! };
  if (code !== 0) throw new Error(`the campaign failed to run: ${output}`);
  return { caughtBy: undefined, states: '' };
}

async function namedTest(
  directory: string,
  test: string,
): Promise<Pick<Catch, 'caughtBy' | 'states'>> {
  const { code, output } = await run(directory, ['node_modules/vitest/vitest.mjs', 'run', test]);
  const ran = /Tests .*\b(failed|passed)\b/.test(output);
  if (!ran) throw new Error(`${test} failed to run: ${output}`);
  return { caughtBy: code === 0 ? undefined : test, states: '–' };
}

function tell({ mistake, where, caughtBy, states }: Catch): string {
  return `| ${mistake} | ${where} | ${caughtBy ?? 'NOT CAUGHT'} | ${states} |`;
}

/** The programs in which a mistake shows. */
function programsOf({ durability, commits }: Mutant): string[] {
  return ['--durability', durability ?? 'sync', '--commits', commits ?? 'background'];
}

const wanted = process.argv[2];
const isWanted = (name: string): boolean => wanted === undefined || name.includes(wanted);
const copy = await Copy.make();
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

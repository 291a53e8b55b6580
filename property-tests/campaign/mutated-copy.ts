import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mutant } from './mutant.ts';

const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));
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

/** A copy of the sources in which one mistake at a time is planted. */
export class MutatedCopy {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<MutatedCopy> {
    const directory = await mkdtemp(join(tmpdir(), 'lodestore-mistakes-'));
    for (const name of COPIED)
      await cp(join(ROOT, name), join(directory, name), { recursive: true });
    // Links to the packages, but with a separate place for compiled sources.
    await mkdir(join(directory, 'node_modules'));
    for (const name of await readdir(join(ROOT, 'node_modules'))) {
      if (name.startsWith('.') && name !== '.bin') continue;
      await symlink(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name));
    }
    return new MutatedCopy(directory);
  }

  async plant(mutant: Mutant): Promise<() => Promise<void>> {
    const places = mutant.also === undefined ? [mutant] : [mutant, mutant.also];
    const restores: (() => Promise<void>)[] = [];
    for (const place of places) restores.push(await this.#change(place));
    return async () => {
      // Both changes may be in one file, so the last one is undone first.
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

/** Runs Node in a copy. Resolves when the process has ended. */
export function runNode(
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

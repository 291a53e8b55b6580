import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

// Every worker thread runs this hook anew, and loading the compiler costs 300 ms: results are kept.
const cache = new URL('../../node_modules/.cache/lodestore-typescript/', import.meta.url);

async function transpile(source, url) {
  const { default: ts } = await import('typescript');
  return ts.transpileModule(source, {
    fileName: url,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    },
  }).outputText;
}

const root = new URL('../../', import.meta.url).href;

/** The file that `programs.ts` has bundled, for a program of this tree that it knows. */
function bundleOf(specifier) {
  const programs = process.env.LODESTORE_TEST_PROGRAMS;
  if (programs === undefined || !specifier.startsWith(root)) return undefined;
  const [, name] =
    /^(?:src|test\/support)\/(?:.*\/)?([^/]+)\.[jt]s$/.exec(specifier.slice(root.length)) ?? [];
  const bundle = join(programs, `${name}.js`);
  return name !== undefined && existsSync(bundle) ? pathToFileURL(bundle).href : undefined;
}

/**
 * A program comes from its bundle, if there is one. Other modules are loaded as they are. The
 * thread's entry is named as it is in the package; beside sources it ends with `.ts`.
 */
export async function resolve(specifier, context, nextResolve) {
  const bundle = context.parentURL === undefined ? bundleOf(specifier) : undefined;
  if (bundle !== undefined) return nextResolve(bundle, context);
  const isEntry =
    specifier.startsWith('file:') && specifier.endsWith('/src/threads/thread-entry.js');
  return nextResolve(isEntry ? specifier.replace(/js$/, 'ts') : specifier, context);
}

export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  const input = await readFile(fileURLToPath(url), 'utf8');
  const name = createHash('sha256').update(url).update(input).digest('hex');
  const entry = new URL(`${name}.mjs`, cache);
  let source = await readFile(entry, 'utf8').catch(() => undefined);
  if (source === undefined) {
    source = await transpile(input, url);
    const temporary = new URL(`${name}.${process.pid}.${Math.random()}`, cache);
    await mkdir(cache, { recursive: true });
    await writeFile(temporary, source);
    await rename(temporary, entry);
  }
  return { format: 'module', source, shortCircuit: true };
}

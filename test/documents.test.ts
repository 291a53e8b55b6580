import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** `npm run docs` makes it. */
const MADE_BY_COMMAND = 'docs/api/';

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function matchesIn(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, match]) => match!);
}

test('every error code stands in docs/ERRORS.md, and no other', () => {
  const declared = matchesIn(read('src/base/errors.ts'), /^ {2}\| '(LODESTORE_\w+)'/gm);
  const documented = matchesIn(read('docs/ERRORS.md'), /^\| `(LODESTORE_\w+)`/gm);
  expect(declared.length).toBeGreaterThan(20);
  expect(documented.sort()).toEqual(declared.sort());
});

test('every command has a section in docs/CLI.md', () => {
  const folder = join(ROOT, 'src', 'cli');
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  const commands = files.flatMap((name) =>
    matchesIn(readFileSync(join(folder, name), 'utf8'), /\.command\('([a-z]+)'\)/g),
  );
  expect(commands.length).toBeGreaterThan(10);
  const sections = new Set(matchesIn(read('docs/CLI.md'), /^## ([a-z]+)$/gm));
  expect(commands.filter((command) => !sections.has(command))).toEqual([]);
});

test('every path that a document names is there', () => {
  const guides = readdirSync(join(ROOT, 'docs', 'guides')).map((name) => `docs/guides/${name}`);
  const documents = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'RELEASING.md'];
  const missing = [...documents, ...guides].flatMap((document) => {
    const text = read(document);
    const fromRoot = matchesIn(text, /`((?:src|test|docs|examples|property-tests)\/[\w./-]+)`/g);
    const fromSource = matchesIn(text, /`((?!src\/|test\/|docs\/)(?:[a-z-]+\/)+[a-z-]+\.ts)`/g);
    return [
      ...fromRoot.filter((path) => path !== MADE_BY_COMMAND && !existsSync(join(ROOT, path))),
      ...fromSource.filter(
        (path) => !existsSync(join(ROOT, 'src', path)) && !existsSync(join(ROOT, path)),
      ),
    ].map((path) => `${document}: ${path}`);
  });
  expect(missing).toEqual([]);
});

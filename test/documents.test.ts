import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { COMMANDS } from '../src/cli/commands.ts';
import type { CliCommand } from '../src/cli/text/cli-command.ts';

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
  const declared = matchesIn(read('src/base/error-code.ts'), /^ {2}\| '(LODESTORE_\w+)'/gm);
  const documented = matchesIn(read('docs/ERRORS.md'), /^\| `(LODESTORE_\w+)`/gm);
  expect(declared.length).toBeGreaterThan(20);
  expect(documented.sort()).toEqual(declared.sort());
});

/** A command as the list at the top of docs/CLI.md shows it. */
function listed({ name, summary, arguments: given, options, exitCodes }: CliCommand): string {
  const flags = options.map(({ flags: text, mandatory }) => (mandatory ? text : `[${text}]`));
  const line = [name, ...Object.keys(given).map((argument) => `<${argument}>`), ...flags];
  const codes = exitCodes.toSorted((a, b) => a - b).join(', ');
  return `lodestore ${line.join(' ')}\n    ${summary}\n    exit codes ${codes}`;
}

test('docs/CLI.md lists the commands of the table', () => {
  const [, list] = /```\n(lodestore [^`]*)\n```/.exec(read('docs/CLI.md'))!;
  expect(list).toBe(COMMANDS.map(listed).join('\n\n'));
});

test.each(COMMANDS.map(({ name, options }) => [name, options] as const))(
  'docs/CLI.md has a section for %s, with its options',
  (name, options) => {
    const [, section] = new RegExp(`^## ${name}$(.*?)(?=^## |$(?![^]))`, 'ms').exec(
      read('docs/CLI.md'),
    ) ?? [undefined, ''];
    expect(section).not.toBe('');
    expect(options.map(({ long }) => long).filter((flag) => !section.includes(flag!))).toEqual([]);
  },
);

test('every path that a document names is there', () => {
  const guides = readdirSync(join(ROOT, 'docs', 'guides')).map((name) => `docs/guides/${name}`);
  const documents = [
    'README.md',
    'docs/OBSERVABILITY.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'RELEASING.md',
  ];
  const missing = [...documents, ...guides].flatMap((document) => {
    const text = read(document);
    const fromRoot = matchesIn(
      text,
      /`((?:src|test|docs|examples|monitoring|property-tests)\/[\w./-]+)`/g,
    );
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

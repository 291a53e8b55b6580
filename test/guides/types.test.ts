import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const DOCUMENTS = [
  'README.md',
  ...markdownIn('docs'),
  ...markdownIn('docs/guides'),
  'examples/storage-node/README.md',
];

function markdownIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md') && name !== 'API.md') // API.md: declarations only
    .map((name) => `${folder}/${name}`);
}

/**
 * The `js` and `ts` blocks, each as a file inside the package, where it can import the package by
 * name.
 */
function programsOf(document: string): [path: string, text: string][] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  return [...text.matchAll(/^```([jt]s)\n([\s\S]*?)^```$/gm)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length + 1;
    const name = `${document.replaceAll('/', '-')}-${line}.m${match[1]!}`;
    // The mark makes a module of a block without imports. At the end, it moves no line.
    return [join(ROOT, '.scratch', 'blocks', name), `${match[2]!}export {};\n`];
  });
}

test('the code blocks of the documents are type-checked against the built package', () => {
  const programs = new Map(DOCUMENTS.flatMap(programsOf));
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    // JavaScript can only exclude undefined by a check, for which an example is too short.
    strict: false,
    allowJs: true,
    checkJs: true,
    noEmit: true,
    skipLibCheck: true,
  };
  const system = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...system,
    fileExists: (path) => programs.has(path) || system.fileExists(path),
    readFile: (path) => programs.get(path) ?? system.readFile(path),
    getSourceFile: (path, language, ...rest) => {
      const text = programs.get(path);
      return text === undefined
        ? system.getSourceFile(path, language, ...rest)
        : ts.createSourceFile(path, text, language);
    },
  };
  const program = ts.createProgram([...programs.keys()], options, host);
  const wrong = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0;
    return `${file?.fileName.split('/').at(-1)}+${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  expect(programs.size).toBeGreaterThan(30);
  expect(wrong, wrong.join('\n')).toEqual([]);
});

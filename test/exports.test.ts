import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../src', import.meta.url));

/** What users import: `exports` and `bin` of package.json, and the entry of threads. */
const ENTRIES = new Set([
  'index.ts',
  'fs/index.ts',
  'testing/index.ts',
  'replicated/index.ts',
  'adapters/etcd/index.ts',
  'adapters/nats/index.ts',
  'adapters/postgres/index.ts',
  'adapters/s3/index.ts',
  'metrics/prometheus.ts',
  'metrics/opentelemetry.ts',
  'cli/main.ts',
  'threads/thread-entry.ts',
]);

interface Module {
  readonly exported: readonly string[];
  /** Path and name of each import and re-export. `*` means all. */
  readonly taken: readonly (readonly [path: string, name: string])[];
  /** Identifiers of the file, except declarations of exports. */
  readonly mentioned: ReadonlySet<string>;
}

function hasExportKeyword(node: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some((one) => one.kind === ts.SyntaxKind.ExportKeyword) === true
  );
}

function namesOf(node: ts.Statement): ts.Identifier[] {
  const names = ts.isVariableStatement(node)
    ? node.declarationList.declarations.map((one) => one.name)
    : [(node as ts.DeclarationStatement).name];
  return names.filter((name): name is ts.Identifier => name !== undefined && ts.isIdentifier(name));
}

function takenBy(node: ts.Node, file: string): [string, string][] {
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [specifier] = node.arguments;
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return [];
    return [[resolve(dirname(file), specifier.text), '*']];
  }
  if (!ts.isImportDeclaration(node) && !ts.isExportDeclaration(node)) return [];
  if (node.moduleSpecifier === undefined || !ts.isStringLiteral(node.moduleSpecifier)) return [];
  const path = resolve(dirname(file), node.moduleSpecifier.text);
  const named = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : node.exportClause;
  if (named === undefined) return ts.isExportDeclaration(node) ? [[path, '*']] : [];
  if (!ts.isNamedImports(named) && !ts.isNamedExports(named)) return [[path, '*']];
  return named.elements.map((one) => [path, (one.propertyName ?? one.name).text]);
}

function readModule(file: string): Module {
  const source = ts.createSourceFile(
    file,
    readFileSync(file, 'utf8'),
    ts.ScriptTarget.ES2023,
    true,
  );
  const declared = source.statements.filter(hasExportKeyword).flatMap(namesOf);
  const own = new Set<ts.Node>(declared);
  const taken: [string, string][] = [];
  const mentioned = new Set<string>();
  const visit = (node: ts.Node): void => {
    taken.push(...takenBy(node, file));
    if (ts.isIdentifier(node) && !own.has(node)) mentioned.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { exported: declared.map((name) => name.text), taken, mentioned };
}

test('no export exists only for tests', () => {
  const files = readdirSync(ROOT, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
  const modules = new Map(files.map((file) => [file, readModule(file)]));
  const used = new Set(
    [...modules.values()].flatMap(({ taken }) => taken.map((one) => one.join())),
  );
  const isTaken = (file: string, name: string): boolean =>
    used.has([file, name].join()) || used.has([file, '*'].join());
  const unused = [...modules].flatMap(([file, { exported, mentioned }]) => {
    const path = relative(ROOT, file);
    if (ENTRIES.has(path)) return [];
    return exported
      .filter((name) => !mentioned.has(name) && !isTaken(file, name))
      .map((name) => `${path}: ${name}`);
  });
  expect(unused, unused.join('\n')).toEqual([]);
});

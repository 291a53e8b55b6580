import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../src', import.meta.url));
const TIMERS = 'base/timers.ts';
/** Globals that test runners replace. `base/timers.ts` keeps the real ones. */
const TIMER_GLOBALS = new Set([
  'setImmediate',
  'clearImmediate',
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'queueMicrotask',
  'performance',
]);
const TIMER_MEMBERS = new Set(['Date.now', 'process.nextTick', 'process.hrtime']);
/** Classes that each realm has for itself. */
const REALM_CLASSES = new Set([
  'Uint8Array',
  'ArrayBuffer',
  'SharedArrayBuffer',
  'AbortSignal',
  'Date',
  'Map',
  'Set',
  'Promise',
]);

const files = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name));

function importedNames(source: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement)) continue;
    const bindings = statement.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue;
    for (const { name } of bindings.elements) names.add(name.text);
  }
  return names;
}

/** Calls `visit` for every node of the file. */
function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function lookUpAtCallTime(node: ts.Node, imported: ReadonlySet<string>): string | undefined {
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
    const { text } = node.expression;
    return TIMER_GLOBALS.has(text) && !imported.has(text) ? text : undefined;
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
    return (node.arguments?.length ?? 0) === 0 ? 'new Date()' : undefined;
  }
  if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return undefined;
  const owner = node.expression.text;
  const member = `${owner}.${node.name.text}`;
  const isGlobal = TIMER_GLOBALS.has(owner) && !imported.has(owner);
  return isGlobal || TIMER_MEMBERS.has(member) ? member : undefined;
}

test('no timer and no clock is looked up at call time, because fake ones would stop commits', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const name = relative(ROOT, file);
    // The simulated file system is for tests: its scheduler counts turns and waits for no timer.
    if (name === TIMERS || name === 'testing/scheduler.ts') continue;
    const source = ts.createSourceFile(
      file,
      readFileSync(file, 'utf8'),
      ts.ScriptTarget.ES2023,
      true,
    );
    const imported = importedNames(source);
    walk(source, (node) => {
      const found = lookUpAtCallTime(node, imported);
      if (found !== undefined) wrong.push(`${name}: ${found}`);
    });
  }
  expect(wrong).toEqual([]);
});

test('no argument is checked against a class of one realm', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const source = ts.createSourceFile(
      file,
      readFileSync(file, 'utf8'),
      ts.ScriptTarget.ES2023,
      true,
    );
    walk(source, (node) => {
      if (!ts.isBinaryExpression(node)) return;
      if (node.operatorToken.kind !== ts.SyntaxKind.InstanceOfKeyword) return;
      const text = node.right.getText();
      if (REALM_CLASSES.has(text)) wrong.push(`${relative(ROOT, file)}: instanceof ${text}`);
    });
  }
  expect(wrong).toEqual([]);
});

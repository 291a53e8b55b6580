import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import ts from 'typescript';

/** Members of `vi` that change nothing outside of the test. `spyOn` is looked at by its object. */
const HARMLESS_VI = new Set(['fn', 'waitFor', 'waitUntil', 'spyOn']);

/** Members of `process` that only read what stays the same, or concern other processes. */
const HARMLESS_PROCESS = new Set([
  'argv',
  'cwd',
  'env',
  'execArgv',
  'execPath',
  'getegid',
  'geteuid',
  'getgid',
  'getuid',
  'kill',
  'nextTick',
  'pid',
  'platform',
  'umask',
  'version',
  'versions',
]);

/** Modules that change or count what belongs to the process. */
const PROCESS_MODULES = new Set([
  'node:async_hooks',
  'node:diagnostics_channel',
  'node:v8',
  'node:vm',
]);
const COUNTING_MODULES = /\/(?:open-stores|recovery-runner)\.ts$|^(?:esbuild|rolldown|webpack)$/;
/** Changes this thread's copy of a number that all stores of the thread use. */
const SETTERS = new Set(['adoptKeyHashSeed']);
const PROCESS_FILES = /^\/proc\/self\/(?:fd|maps|smaps|stat|statm|status|task)/;

type Step =
  | ts.PropertyAccessExpression
  | ts.ElementAccessExpression
  | ts.ParenthesizedExpression
  | ts.AsExpression
  | ts.NonNullExpression
  | ts.CallExpression;

function isStep(node: ts.Node): node is Step {
  return (
    ts.isPropertyAccessExpression(node) ||
    ts.isElementAccessExpression(node) ||
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node) ||
    ts.isNonNullExpression(node) ||
    ts.isCallExpression(node)
  );
}

/** The variable at the start of `a.b[0].c`, without casts. */
function rootOf(node: ts.Node): string | undefined {
  let current = node;
  while (isStep(current)) current = current.expression;
  return ts.isIdentifier(current) ? current.text : undefined;
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/** The names that the file itself declares: not its imports, and not the globals. */
function declaredNames(source: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  walk(source, (node) => {
    const isDeclaration =
      ts.isVariableDeclaration(node) ||
      ts.isParameter(node) ||
      ts.isBindingElement(node) ||
      ts.isClassDeclaration(node) ||
      ts.isFunctionDeclaration(node);
    if (isDeclaration && node.name !== undefined && ts.isIdentifier(node.name))
      names.add(node.name.text);
  });
  return names;
}

function isSpyOn(node: ts.Node): boolean {
  return ts.isPropertyAccessExpression(node) && node.name.text === 'spyOn';
}

function isAssigned(node: ts.Node): boolean {
  const { parent } = node;
  return (
    (ts.isBinaryExpression(parent) &&
      parent.left === node &&
      parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
      parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment) ||
    ts.isDeleteExpression(parent)
  );
}

/** What the node changes or counts outside of the file's own values. */
function useOf(node: ts.Node, declared: ReadonlySet<string>): string | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const { text } = node.moduleSpecifier;
    return PROCESS_MODULES.has(text) || COUNTING_MODULES.test(text) ? text : undefined;
  }
  if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node))
    return PROCESS_FILES.test(node.text) ? node.text : undefined;
  if (ts.isIdentifier(node) && (node.text === 'globalThis' || SETTERS.has(node.text)))
    return node.text;
  if (ts.isCallExpression(node) && isSpyOn(node.expression)) {
    const [object] = node.arguments;
    const root = object === undefined ? undefined : rootOf(object);
    return root === undefined || declared.has(root) ? undefined : `vi.spyOn(${root})`;
  }
  if (!ts.isPropertyAccessExpression(node) && !ts.isElementAccessExpression(node)) return undefined;
  const root = rootOf(node);
  if (root === undefined) return undefined;
  if (isAssigned(node)) {
    const isOwn = declared.has(root) || node.expression.kind === ts.SyntaxKind.ThisKeyword;
    return isOwn ? undefined : `${node.getText()} =`;
  }
  if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return undefined;
  const { text } = node.name;
  const isHarmful =
    (root === 'vi' && !HARMLESS_VI.has(text)) ||
    (root === 'process' && !HARMLESS_PROCESS.has(text) && !declared.has('process'));
  return isHarmful ? `${root}.${text}` : undefined;
}

/** The relative path that a node imports, unless it imports only types. */
function importedBy(node: ts.Node): string | undefined {
  let specifier: ts.Node | undefined;
  if (ts.isImportDeclaration(node)) {
    if (node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) return undefined;
    specifier = node.moduleSpecifier;
  } else if (ts.isExportDeclaration(node)) specifier = node.moduleSpecifier;
  else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    specifier = node.arguments[0];
  if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return undefined;
  const { text } = specifier;
  return text.startsWith('.') && text.endsWith('.ts') ? text : undefined;
}

function importsOf(source: ts.SourceFile, path: string): string[] {
  const found: string[] = [];
  walk(source, (node) => {
    const specifier = importedBy(node);
    if (specifier !== undefined) found.push(resolve(dirname(path), specifier));
  });
  return found;
}

interface Looked {
  readonly uses: readonly string[];
  readonly imports: readonly string[];
}

/** What test files and the support files that they import change or count of their process. */
export class SharedState {
  readonly #looked: Map<string, Looked> = new Map();
  readonly #isSource: (path: string) => boolean;

  /** `isSource`: the product's own modules, whose state does not count. */
  constructor(isSource: (path: string) => boolean) {
    this.#isSource = isSource;
  }

  /** Each use as `path: what`. */
  usesOf(path: string): string[] {
    const reached = new Set([path]);
    for (const file of reached) for (const next of this.#look(file).imports) reached.add(next);
    return [...reached].flatMap((file) => this.#look(file).uses.map((use) => `${file}: ${use}`));
  }

  #look(path: string): Looked {
    const known = this.#looked.get(path);
    if (known !== undefined) return known;
    const text = readFileSync(path, 'utf8');
    const looked = lookedAt(path, text);
    const imports = looked.imports.filter((file) => !this.#isSource(file));
    this.#looked.set(path, { ...looked, imports });
    return { ...looked, imports };
  }
}

/** One file: what it changes or counts, and the files that it imports by a relative path. */
export function lookedAt(path: string, text: string): Looked {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const declared = declaredNames(source);
  const uses = new Set<string>();
  walk(source, (node) => {
    const use = useOf(node, declared);
    if (use !== undefined) uses.add(use);
  });
  return { uses: [...uses], imports: importsOf(source, path) };
}

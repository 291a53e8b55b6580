import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The sources of the package's entry points. */
const ENTRIES: Readonly<Record<string, string>> = {
  lodestore: 'src/index.ts',
  'lodestore/fs': 'src/fs/index.ts',
  'lodestore/testing': 'src/testing/index.ts',
  'lodestore/replicated': 'src/replicated/index.ts',
  'lodestore/etcd': 'src/adapters/etcd/index.ts',
  'lodestore/nats': 'src/adapters/nats/index.ts',
  'lodestore/postgres': 'src/adapters/postgres/index.ts',
  'lodestore/s3': 'src/adapters/s3/index.ts',
  'lodestore/prometheus': 'src/metrics/prometheus.ts',
  'lodestore/opentelemetry': 'src/metrics/opentelemetry.ts',
};

/** Types whose members callers cannot use: the types in them are not API. */
const INTERNAL: ReadonlySet<string> = new Set(
  (
    JSON.parse(readFileSync(`${ROOT}typedoc.json`, 'utf8')) as {
      intentionallyNotExported: string[];
    }
  ).intentionallyNotExported,
);

type Declaration = ts.Statement & { readonly name?: ts.Identifier };

/** A name in a source file. */
interface Place {
  readonly file: string;
  readonly name: string;
}

const HEADER = `# API report

The public API of each entry point: what the declarations of the package say, without comments. \`npm run api\` writes this
file, and a test compares it. A change of it is a change of the API: it belongs into \`CHANGELOG.md\`, and
[RELEASING.md](../RELEASING.md) says which version it asks for.

"Not exported" lists types that an exported declaration names and that cannot be imported by name. A type is listed once.
`;

/** The emitted declarations of one file: its own, and the origins of other names. */
class DeclarationFile {
  readonly declared: Map<string, Declaration[]> = new Map();
  readonly imported: Map<string, Place> = new Map();
  readonly reexported: Map<string, Place> = new Map();

  constructor(path: string) {
    const { outputText } = ts.transpileDeclaration(readFileSync(path, 'utf8'), {
      fileName: path,
      compilerOptions: { removeComments: true, stripInternal: true },
    });
    const source = ts.createSourceFile(path, outputText, ts.ScriptTarget.ES2023, true);
    for (const statement of source.statements) this.#add(statement, dirname(path));
  }

  #add(statement: ts.Statement, folder: string): void {
    const at = (specifier: ts.Expression | undefined): string | undefined =>
      specifier !== undefined && ts.isStringLiteral(specifier) && specifier.text.startsWith('.')
        ? resolve(folder, specifier.text)
        : undefined;
    if (ts.isImportDeclaration(statement)) {
      const file = at(statement.moduleSpecifier);
      const bindings = statement.importClause?.namedBindings;
      if (file === undefined || bindings === undefined || !ts.isNamedImports(bindings)) return;
      addNames(this.imported, bindings.elements, file);
    } else if (ts.isExportDeclaration(statement)) {
      const file = at(statement.moduleSpecifier);
      const clause = statement.exportClause;
      if (file === undefined || clause === undefined || !ts.isNamedExports(clause)) return;
      addNames(this.reexported, clause.elements, file);
    } else {
      for (const name of namesOf(statement)) {
        this.declared.set(name, [...(this.declared.get(name) ?? []), statement]);
      }
    }
  }

  /** Names that the file exports. */
  get exports(): string[] {
    const own = [...this.declared].filter(([, [first]]) => isExported(first!));
    return [...own.map(([name]) => name), ...this.reexported.keys()];
  }
}

function addNames(
  names: Map<string, Place>,
  elements: readonly (ts.ImportSpecifier | ts.ExportSpecifier)[],
  file: string,
): void {
  for (const { name, propertyName } of elements) {
    names.set(name.text, { file, name: (propertyName ?? name).text });
  }
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const { name } = statement as Declaration;
  return name === undefined ? [] : [name.text];
}

function isExported(statement: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
}

const files = new Map<string, DeclarationFile>();

function fileAt(path: string): DeclarationFile {
  let file = files.get(path);
  if (file === undefined) files.set(path, (file = new DeclarationFile(path)));
  return file;
}

/**
 * The declaration of a name in a file; undefined if it comes from another package or the language.
 */
function declarationOf({ file, name }: Place): Place | undefined {
  const { declared, imported, reexported } = fileAt(file);
  if (declared.has(name)) return { file, name };
  const from = imported.get(name) ?? reexported.get(name);
  return from && declarationOf(from);
}

/** Names of types and values in a declaration. */
function mentionedBy(node: ts.Node): Set<string> {
  const names = new Set<string>();
  const visit = (child: ts.Node): void => {
    if (isPrivate(child)) return;
    if (ts.isTypeReferenceNode(child)) names.add(firstOf(child.typeName));
    if (ts.isExpressionWithTypeArguments(child)) names.add(child.expression.getText());
    if (ts.isTypeQueryNode(child)) names.add(firstOf(child.exprName));
    if (ts.isComputedPropertyName(child)) names.add(child.expression.getText());
    ts.forEachChild(child, visit);
  };
  visit(node);
  return names;
}

function isPrivate(node: ts.Node): boolean {
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword) === true;
}

function firstOf(name: ts.EntityName): string {
  return ts.isIdentifier(name) ? name.text : firstOf(name.left);
}

/** A declaration as text, without members that callers cannot use. */
function textOf(statement: Declaration): string {
  return statement
    .getText()
    .replace(/^export /, '')
    .replace(/^declare /, '')
    .replaceAll(/^ *#private;\n/gm, '')
    .replaceAll(/^ *private [^\n]*\n/gm, '');
}

function render(places: readonly Place[]): string {
  return places
    .flatMap(({ file, name }) => fileAt(file).declared.get(name)!.map(textOf))
    .join('\n\n');
}

function byName(a: Place, b: Place): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.file < b.file ? -1 : 1;
}

function keyOf({ file, name }: Place): string {
  return `${relative(ROOT, file)} ${name}`;
}

function exportsOf(path: string): Place[] {
  const file = resolve(ROOT, path);
  return fileAt(file).exports.map((name) => declarationOf({ file, name })!);
}

/** `listed`: the types that any entry point exports, and those of earlier sections. */
function sectionOf(entry: string, path: string, listed: Set<string>): string {
  const exported = exportsOf(path).sort(byName);
  const hidden: Place[] = [];
  for (const queue = [...exported]; queue.length > 0;) {
    const place = queue.pop()!;
    for (const statement of fileAt(place.file).declared.get(place.name)!) {
      for (const name of mentionedBy(statement)) {
        const found = declarationOf({ file: place.file, name });
        if (found === undefined || INTERNAL.has(name) || listed.has(keyOf(found))) continue;
        listed.add(keyOf(found));
        hidden.push(found);
        queue.push(found);
      }
    }
  }
  hidden.sort(byName);
  const parts = [`## \`${entry}\``, '```ts', render(exported), '```'];
  if (hidden.length > 0) parts.push('### Not exported', '```ts', render(hidden), '```');
  return parts.join('\n');
}

/** The report in Markdown; equal for equal sources. */
export async function makeApiReport(): Promise<string> {
  const listed = new Set(Object.values(ENTRIES).flatMap(exportsOf).map(keyOf));
  const sections = Object.entries(ENTRIES).map(([entry, path]) => sectionOf(entry, path, listed));
  const path = resolve(ROOT, 'docs/API.md');
  const options = await resolveConfig(path);
  return format([HEADER, ...sections].join('\n'), { ...options, filepath: path });
}

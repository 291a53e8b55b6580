import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../src', import.meta.url));
/** The workspace of the storage node. Its folders are named with `node/` in front. */
const NODE_ROOT = fileURLToPath(new URL('../examples/storage-node/src', import.meta.url));

/**
 * The layers of ARCHITECTURE.md, lowest first. Two folders of one layer do not import each other. A
 * file belongs to its own folder, so a folder and its sub-folders have separate ranks.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['base'],
  ['format', 'fs'],
  ['runs', 'log', 'snapshot', 'directory', 'table/layer'],
  ['table/chunk', 'table/delta'],
  ['table/base', 'table/replayed'],
  ['table/scan', 'replay'],
  ['table'],
  ['jobs'],
  ['threads'],
  ['store/batch'],
  ['store/space'],
  ['store/observe'],
  ['store/commit', 'store/recovery'],
  ['store/salvage', 'store/changes'],
  ['store/merge'],
  ['store/follow'],
  ['store/open'],
  ['store/backup'],
  ['store'],
  ['inspection', 'testing/disk', 'replicated/log'],
  ['replicated/checkpoint'],
  ['replicated/node'],
  ['replicated/shards', 'metrics'],
  ['replicated'],
  ['adapters'],
  ['adapters/etcd', 'adapters/nats', 'adapters/postgres', 'adapters/s3'],
  ['testing/engine'],
  ['testing/conformance'],
  ['index.ts', 'testing'],
  ['cli/output'],
  ['cli/records', 'cli/text'],
  ['cli/replicate'],
  ['cli'],
  ['node/node-errors.ts'],
  ['node/object-node.ts', 'node/turn-pace.ts', 'node/joined-pieces.ts'],
  ['node/volumes'],
  ['node/ledger'],
  ['node/names'],
  ['node/objects'],
  ['node/upkeep'],
  ['node'],
  ['node/rebuild', 'node/control'],
  ['node/index.ts'],
  ['node/s3/base'],
  ['node/s3/auth', 'node/s3/xml'],
  ['node/s3/payload'],
  ['node/s3/call'],
  ['node/s3/operations'],
  ['node/s3'],
  ['node/admin'],
  ['node/cli'],
];

function filesIn(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

const nodeFiles = new Set(filesIn(NODE_ROOT));
const files = [...filesIn(ROOT), ...nodeFiles];

const sources = new Map(
  files.map((file) => [
    file,
    ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2023, true),
  ]),
);

/** Path below `src`, or below the workspace's `src` with `node/` in front. */
function nameOf(file: string): string {
  return nodeFiles.has(file) ? `node/${relative(NODE_ROOT, file)}` : relative(ROOT, file);
}

function roomOf(file: string): string {
  const name = nameOf(file);
  const folder = dirname(name);
  const isAlone = folder === '.' || (folder === 'node' && layerOf(name) >= 0);
  return isAlone ? name : folder;
}

function layerOf(room: string): number {
  return LAYERS.findIndex((rooms) => rooms.includes(room));
}

function importsOf(source: ts.SourceFile): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const specifier =
      ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
        ? node.moduleSpecifier
        : undefined;
    if (specifier !== undefined && ts.isStringLiteral(specifier)) found.push(specifier.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function localImports(file: string): string[] {
  return importsOf(sources.get(file)!)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => resolve(dirname(file), specifier));
}

test('every file is in a folder with a rank', () => {
  for (const file of files) expect(layerOf(roomOf(file)), file).toBeGreaterThanOrEqual(0);
});

test('a file imports only from its own folder or a lower layer', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const imported of localImports(file)) {
      const [from, to] = [roomOf(file), roomOf(imported)];
      if (from !== to && layerOf(to) >= layerOf(from))
        wrong.push(`${nameOf(file)} -> ${nameOf(imported)}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('a folder has at most 25 files', () => {
  const counts = new Map<string, number>();
  for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  expect([...counts].filter(([, count]) => count > 25)).toEqual([]);
});

/** Folders below the root of the repository without programs of their own. */
const SKIPPED = new Set(['.git', '.scratch', 'dist', 'docs', 'golden', 'node_modules', 'results']);

function pathsBelow(folder: string, skipped: ReadonlySet<string>, name: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : pathsBelow(path, skipped, name);
    return name.test(entry.name) ? [path] : [];
  });
}

/** Every program: the package, tests, examples, benchmarks, and what CI runs. */
function programsBelow(folder: string): string[] {
  return pathsBelow(folder, SKIPPED, /\.(?:ts|mjs|cjs|js)$/);
}

test('lines of comments have at most 100 columns in every program', () => {
  const programs = programsBelow(dirname(ROOT)).map((file) => relative(dirname(ROOT), file));
  expect(new Set(programs.map((file) => file.split(sep)[0]))).toContain('bench');
  const long = programs.flatMap((file) =>
    readFileSync(join(dirname(ROOT), file), 'utf8')
      .split('\n')
      .flatMap((line, i) =>
        line.length > 100 && /^\s*(?:\*|\/\/|\/\*)/.test(line) ? [`${file}:${i + 1}`] : [],
      ),
  );
  expect(long).toEqual([]);
});

/** Written by commands. */
const GENERATED = new Set(['bench/RESULTS.md', 'docs/API.md']);

/** Lines of Markdown outside of code blocks and tables, with their numbers. */
function proseOf(text: string): [line: string, number: number][] {
  let fence: string | undefined;
  return text.split('\n').flatMap((line, i): [string, number][] => {
    const [, mark] = /^\s*(`{3,}|~{3,})/.exec(line) ?? [];
    if (mark !== undefined && (fence === undefined || mark === fence)) {
      fence = fence === undefined ? mark : undefined;
      return [];
    }
    return fence !== undefined || /^\s*\|/.test(line) ? [] : [[line, i + 1]];
  });
}

test('lines of prose have at most 120 columns in every document', () => {
  const root = dirname(ROOT);
  const skipped = new Set([...SKIPPED, 'api']);
  skipped.delete('docs');
  const documents = pathsBelow(root, skipped, /\.md$/).map((file) => relative(root, file));
  expect(documents).toContain('docs/guides/embed.md');
  const long = documents
    .filter((file) => !GENERATED.has(file))
    .flatMap((file) =>
      proseOf(readFileSync(join(root, file), 'utf8')).flatMap(([line, number]) =>
        line.length > 120 ? [`${file}:${number}`] : [],
      ),
    );
  expect(long).toEqual([]);
});

test('imports have no cycles', () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    const at = trail.indexOf(file);
    if (at >= 0) {
      cycles.push([...trail.slice(at), file].map((one) => nameOf(one)).join(' -> '));
      return;
    }
    if (done.has(file)) return;
    for (const imported of localImports(file)) visit(imported, [...trail, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

test('only src/fs and the command lines import node:fs', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const room = roomOf(file);
    for (const specifier of importsOf(sources.get(file)!)) {
      const isFs = /^(node:)?fs(\/promises)?$|^proper-lockfile$|^fs-native-extensions$/.test(
        specifier,
      );
      if (isFs && room !== 'fs' && !/^(node\/)?cli/.test(room))
        wrong.push(`${nameOf(file)}: ${specifier}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('a file has at most 400 lines and a function at most 70', () => {
  const long: string[] = [];
  for (const [file, source] of sources) {
    const lineOf = (position: number): number =>
      source.getLineAndCharacterOfPosition(position).line;
    const lines = lineOf(source.end) + 1;
    if (lines > 400) long.push(`${nameOf(file)}: ${lines} lines`);
    const visit = (node: ts.Node): void => {
      if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
        const length = lineOf(node.end) - lineOf(node.getStart(source)) + 1;
        if (length > 70) long.push(`${nameOf(file)}: a function of ${length} lines`);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  expect(long).toEqual([]);
});

/** More collaborators than this hide an object that is missing. */
const MOST_PARTS = 6;

const interfaces = new Map(
  [...sources]
    .filter(([file]) => !nodeFiles.has(file))
    .flatMap(([, source]) => source.statements.filter(ts.isInterfaceDeclaration))
    .map((one) => [one.name.text, one]),
);

/** Members of an interface, with those that it inherits. */
function membersOf(one: ts.InterfaceDeclaration): number {
  const bases = (one.heritageClauses ?? []).flatMap(({ types }) => types);
  return bases.reduce((sum, { expression }) => {
    const base = interfaces.get(expression.getText());
    return sum + (base === undefined ? 0 : membersOf(base));
  }, one.members.length);
}

test(`a class has at most ${MOST_PARTS} parts, and a constructor as many parameters`, () => {
  const wide: string[] = [];
  let seen = 0;
  for (const [file, source] of sources) {
    if (nodeFiles.has(file)) continue;
    for (const one of source.statements.filter(ts.isInterfaceDeclaration)) {
      if (!one.name.text.endsWith('Parts')) continue;
      seen++;
      const members = membersOf(one);
      if (members > MOST_PARTS)
        wide.push(`${nameOf(file)}: ${one.name.text} has ${members} members`);
    }
    const visit = (node: ts.Node): void => {
      if (ts.isConstructorDeclaration(node) && node.parameters.length > MOST_PARTS) {
        wide.push(`${nameOf(file)}: a constructor of ${node.parameters.length} parameters`);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  expect(seen).toBeGreaterThan(30);
  expect(wide).toEqual([]);
});

test('only format/row.ts has the offsets of a row', () => {
  // The offsets of other fixed layouts are in the file that encodes and decodes them.
  const isOwn = (file: string): boolean =>
    /^(format|base)$/.test(roomOf(file)) && !file.endsWith('group-rows.ts');
  const wrong: string[] = [];
  for (const [file, source] of sources) {
    if (isOwn(file) || nodeFiles.has(file)) continue;
    const numbered =
      /\.(?:get|set)(?:Uint32|BigUint64)\([^,;]*\+ (?:4|8|12|16),|\bwords\[(?:offset|from) \+ [1-4]\]/g;
    for (const [text] of source.text.matchAll(numbered)) {
      wrong.push(`${nameOf(file)}: ${text}`);
    }
  }
  expect(wrong).toEqual([]);
});

/** Names of a file's own exports, without re-exports. */
function exportsOf(source: ts.SourceFile): string[] {
  return source.statements.flatMap((statement) => {
    const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
    if (modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) !== true) return [];
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map(({ name }) => name.getText(source));
    }
    const { name } = statement as ts.DeclarationStatement;
    return name === undefined ? [] : [name.getText(source)];
  });
}

test('no two files export the same name', () => {
  const places = new Map<string, Set<string>>();
  for (const [file, source] of sources) {
    for (const name of exportsOf(source)) {
      // Each package has its own names.
      const place = nodeFiles.has(file) ? `node: ${name}` : name;
      places.set(place, (places.get(place) ?? new Set()).add(nameOf(file)));
    }
  }
  expect(places.size).toBeGreaterThan(500);
  expect([...places].filter(([, among]) => among.size > 1)).toEqual([]);
});

test('only the entry points re-export', () => {
  const passing = [...sources].filter(([, source]) =>
    source.statements.some(
      (statement) => ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined,
    ),
  );
  const entries = [
    'adapters/etcd/index.ts',
    'adapters/nats/index.ts',
    'adapters/postgres/index.ts',
    'adapters/s3/index.ts',
    'fs/index.ts',
    'index.ts',
    'node/index.ts',
    'replicated/index.ts',
    'testing/index.ts',
  ];
  expect(passing.map(([file]) => nameOf(file)).sort()).toEqual(entries);
});

test('no two file names in a folder differ only by an ending', () => {
  const twins: string[] = [];
  const names = files.map((file) => nameOf(file).replace(/\.ts$/, ''));
  for (const name of names) {
    const near = ['s', 'ing', 'ed'].filter((ending) => names.includes(name + ending));
    twins.push(...near.map((ending) => `${name}, ${name}${ending}`));
  }
  expect(twins).toEqual([]);
});

test('read-only folders open files to read and change no directory', () => {
  const readers = ['store/recovery', 'store/changes', 'inspection'];
  // Write permission is tested by an open, an existing lock file by its lock.
  const allowed = new Set([
    "inspection/obstacles.ts: fs.open(path, 'r+')",
    'inspection/source-lock.ts: fs.tryLock(path)',
  ]);
  const changing =
    /^(rename|unlink|unlinkIfThere|link|makeDirectory|removeDirectory|syncDirectory|write|writev|preallocate|truncate|dataSync|tryLock|takeLease|breakLease)$/;
  const wrong: string[] = [];
  for (const [file, source] of sources) {
    if (!readers.includes(roomOf(file))) continue;
    const visit = (node: ts.Node): void => {
      ts.forEachChild(node, visit);
      if (!ts.isCallExpression(node)) return;
      const called = ts.isPropertyAccessExpression(node.expression)
        ? node.expression.name.text
        : node.expression.getText(source);
      const mode = node.arguments[1]?.getText(source);
      const opensToWrite = called === 'open' && node.arguments.length === 2 && mode !== "'r'";
      const text = `${nameOf(file)}: ${node.getText(source)}`;
      if ((changing.test(called) || opensToWrite) && !allowed.has(text)) wrong.push(text);
    };
    visit(source);
  }
  // The view passes on the mode that it has compared with 'r'.
  expect(wrong).toEqual(['inspection/source-view.ts: fs.open(path, mode)']);
});

/** The files of each folder that `cli/` may import. */
const CLI_FACES: readonly (readonly [folder: string, files: RegExp])[] = [
  ['base', /./],
  ['adapters', /^engine$/],
  ['adapters/etcd', /^etcd-engine$/],
  ['format', /./],
  ['fs', /./],
  ['inspection', /./],
  ['directory', /^(ensure-directory|incomplete-copy)$/],
  ['replicated/checkpoint', /^(checkpoints|directory-checkpoints)$/],
  ['replicated/log', /^(shared-log|log-errors)$/],
  ['replicated/node', /^(replicated-store|node-examination)$/],
  ['runs', /^run-cursor$/],
  ['snapshot', /^snapshot-writer$/],
  ['store', /^(keyspace|metadata-store)$/],
  ['store/backup', /^(backup|backup-source|copy-error|restore)$/],
  ['store/batch', /^write-batch$/],
  ['store/changes', /^change$/],
  ['store/merge', /^merge-due$/],
  ['store/open', /^(recovery-runner|with-directory)$/],
  ['store/recovery', /^(advice|directory-state|progress-meter|recovery-report|snapshot-state)$/],
  ['store/salvage', /^(placement|salvage-loss|salvage-reading)$/],
  ['table', /^table$/],
  ['table/layer', /^(key-range|table-record)$/],
  ['threads', /^thread-shortage$/],
];

test('the command line imports only the public files of other folders', () => {
  const wrong: string[] = [];
  for (const file of files) {
    if (!roomOf(file).startsWith('cli')) continue;
    for (const imported of localImports(file)) {
      const folder = roomOf(imported);
      if (folder.startsWith('cli')) continue;
      const name = relative(join(ROOT, folder), imported).replace(/\.ts$/, '');
      const isFace = CLI_FACES.some(([of, faces]) => of === folder && faces.test(name));
      if (!isFace) wrong.push(`${nameOf(file)} -> ${nameOf(imported)}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('no file has leftovers of debugging or unfinished work', () => {
  const found: string[] = [];
  for (const [file, source] of sources) {
    const match = /\b(TODO|FIXME|XXX|HACK)\b|console\.log|debugger;/.exec(source.text);
    if (match !== null && !roomOf(file).startsWith('cli'))
      found.push(`${nameOf(file)}: ${match[0]}`);
  }
  expect(found).toEqual([]);
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { PACKAGE_VERSION } from '../src/base/version.ts';
import { DISTRIBUTIONS } from '../src/metrics/distribution-metrics.ts';
import { ALL_SCALARS } from '../src/metrics/scalar-metrics.ts';
import {
  backupChannel,
  commitChannel,
  mergeChannel,
  openChannel,
} from '../src/store/observe/channels.ts';
import { CrashFs, openOn, openReplicaOn, SimulatedLog } from '../src/testing/index.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENT = readFileSync(`${ROOT}docs/OBSERVABILITY.md`, 'utf8');

const METRICS = [...ALL_SCALARS, ...DISTRIBUTIONS];

/** Everything that the document shows as code. */
const named = new Set([...DOCUMENT.matchAll(/`([^`\n]+)`/g)].map(([, name]) => name!));

/** Paths of all fields; a distribution and the recovery report count as one each. */
function fieldsOf(value: object, path = ''): string[] {
  return Object.entries(value).flatMap(([key, field]: [string, unknown]) => {
    const name = path + key;
    const isLeaf = typeof field !== 'object' || field === null || 'buckets' in field;
    return isLeaf || name === 'recovery' ? [name] : fieldsOf(field, `${name}.`);
  });
}

/** Names of the members of an interface in a source file. */
function membersOf(path: string, name: string): string[] {
  const text = readFileSync(ROOT + path, 'utf8');
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const declaration = source.statements.find(
    (statement): statement is ts.InterfaceDeclaration =>
      ts.isInterfaceDeclaration(statement) && statement.name.text === name,
  );
  return declaration!.members.map((member) => member.name!.getText());
}

test('every figure is documented', async () => {
  await using store = await openOn(new CrashFs(), '/s');
  const missing = fieldsOf(store.stats()).filter((name) => !named.has(name));
  expect(missing, 'add them to docs/OBSERVABILITY.md').toEqual([]);
});

test('every figure of a replica is documented', async () => {
  const log = new SimulatedLog().connect();
  await using store = await openReplicaOn(new CrashFs(), '/s', { log }, { seed: 1 });
  const missing = fieldsOf(store.stats().replica).filter((name) => !named.has(name));
  expect(missing, 'add them to docs/OBSERVABILITY.md').toEqual([]);
});

test('every event is documented', () => {
  const events = membersOf('src/store/observe/store-events.ts', 'StoreEvents');
  expect(events.length).toBeGreaterThan(5);
  expect(events.filter((name) => !named.has(name))).toEqual([]);
  expect(events).not.toContain('error');
});

test('every metric is documented as it is exported', () => {
  const rows = DOCUMENT.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  const undocumented = METRICS.filter((metric) => {
    const { name, telemetryName, unit, help } = metric;
    const kind = 'bounds' in metric ? 'histogram' : metric.instrument;
    const cells = [`\`lodestore.${telemetryName}\``, kind, unit, help];
    return !rows.some(
      ([, prometheus, ...others]) =>
        prometheus?.startsWith(`\`lodestore_${name}\``) === true &&
        cells.every((cell, i) => others[i] === cell),
    );
  });
  expect(undocumented.map(({ name }) => name)).toEqual([]);
});

/** https://opentelemetry.io/docs/specs/semconv/general/naming/ and .../general/metrics/ */
test('OpenTelemetry names follow the semantic conventions', () => {
  const names = METRICS.map(({ telemetryName }) => telemetryName);
  expect(new Set(names).size).toBe(names.length);
  for (const metric of METRICS) {
    const { telemetryName: name, unit } = metric;
    expect(name).toMatch(/^[a-z]+(?:[._][a-z]+)*$/);
    // Units are in the metadata; `total` is for Prometheus.
    expect(name).not.toMatch(/(?:^|[._])(?:seconds|bytes|total|ms)(?:[._]|$)/);
    expect(unit).toMatch(/^(?:s|By|1|\{[a-z]+\})$/);
    expect(unit, 'an annotation is singular').not.toMatch(/[^s]s\}$/);
    // No name is the namespace of another.
    expect(names.filter((other) => other.startsWith(`${name}.`))).toEqual([]);
    const isPlural = name.endsWith('s') && !name.endsWith('progress');
    if (isPlural) expect(unit, `${name}: plural only for what is counted`).toMatch(/^\{/);
    if ('instrument' in metric && metric.instrument !== 'counter') expect(isPlural).toBe(false);
  }
});

test('a help text is a sentence that makes sense alone', () => {
  for (const { name, help } of METRICS) {
    expect(help, name).toMatch(/^[A-Z0-9].{15,}\.$/);
    expect(help, name).not.toMatch(/\b(?:those|these|it will|as above)\b/);
  }
  expect(new Set(METRICS.map(({ help }) => help)).size).toBe(METRICS.length);
});

test('the exported version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as {
    version: string;
  };
  expect(PACKAGE_VERSION).toBe(version);
});

test('every metric named in the document exists', () => {
  const known = new Set(METRICS.map(({ name }) => `lodestore_${name}`));
  const asked = DOCUMENT.match(/\blodestore_[a-z_]*[a-z]/g)!;
  const unknown = asked.filter((name) => !known.has(name.replace(/_bucket$/, '')));
  expect(unknown).toEqual([]);
});

test('every channel and every part of its context is documented', () => {
  const channels = ['open', 'commit', 'rotate', 'merge', 'backup'];
  for (const channel of channels) expect(named.has(`lodestore:${channel}`)).toBe(true);
  const names = [openChannel, commitChannel, mergeChannel, backupChannel].map(({ start }) =>
    String(start.name),
  );
  expect(names).toEqual(
    ['open', 'commit', 'merge', 'backup'].map((name) => `tracing:lodestore:${name}:start`),
  );
  const contexts = ['OpenTrace', 'CommitTrace', 'RotateTrace', 'MergeTrace', 'BackupTrace'];
  const parts = contexts.flatMap((name) => membersOf('src/store/observe/channels.ts', name));
  expect(parts.filter((name) => !named.has(name))).toEqual([]);
});

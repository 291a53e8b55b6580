import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { DISTRIBUTIONS } from '../src/metrics/distribution-metrics.ts';
import { SCALARS } from '../src/metrics/scalar-metrics.ts';
import {
  backupChannel,
  commitChannel,
  mergeChannel,
  openChannel,
} from '../src/store/observe/channels.ts';
import { StoreFullError } from '../src/index.ts';
import { Registry } from 'prom-client';
import { collectStore } from '../src/metrics/prometheus.ts';
import { CrashFs, openOn } from '../src/testing/index.ts';
import { parsePrometheus } from './support/prometheus-text.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENT = readFileSync(`${ROOT}docs/OBSERVABILITY.md`, 'utf8');

/** What is documented as code, in tables or text. */
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

test('every event is documented', () => {
  const events = membersOf('src/store/observe/store-events.ts', 'StoreEvents');
  expect(events.length).toBeGreaterThan(5);
  expect(events.filter((name) => !named.has(name))).toEqual([]);
  expect(events).not.toContain('error');
});

test('every metric is documented with its kind', () => {
  const kinds = [
    ...SCALARS.map(({ name, telemetryName, kind }) => ({ name, telemetryName, kind })),
    ...DISTRIBUTIONS.map(({ name, telemetryName }) => ({ name, telemetryName, kind: 'histogram' })),
  ];
  const rows = DOCUMENT.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  const undocumented = kinds.filter(
    ({ name, telemetryName, kind }) =>
      !rows.some(
        ([, prometheus, telemetry, documented]) =>
          prometheus?.startsWith(`\`lodestore_${name}\``) === true &&
          telemetry === `\`lodestore.${telemetryName}\`` &&
          documented === kind,
      ),
  );
  expect(undocumented).toEqual([]);
});

test('every metric that the document names is there', () => {
  const known = new Set([...SCALARS, ...DISTRIBUTIONS].map(({ name }) => `lodestore_${name}`));
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

/** Whether an alert of the document that compares one sample fires on what a store exports. */
function fires(expression: string, text: string): boolean {
  const match = /^(\w+)(?:\{(\w+)="(\w+)"\})? ([=<]+) (\d+)$/.exec(expression);
  if (match === null) throw new Error(`no simple expression: ${expression}`);
  const [, name, label, wanted, operator, bound] = match;
  const samples = parsePrometheus(text).get(name!)!.samples;
  return samples
    .filter(({ labels }) => label === undefined || labels[label] === wanted)
    .some(({ value }) => (operator === '==' ? value === Number(bound) : value < Number(bound)));
}

const SPACE_ALERTS = [
  ...DOCUMENT.matchAll(/^\| `(lodestore_(?:space_state|put_room_bytes)[^`]*)`/gm),
]
  .map(([, expression]) => expression!)
  .filter((expression) => expression.includes(' '));

test.each([
  ['maxBytes', { maxBytes: 8 * 1024 * 1024 }, undefined],
  ['a full disk', {}, 8 * 1024 * 1024],
] as const)(
  'the documented alerts of space fire before and when puts are refused: %s',
  async (_what, options, capacityBytes) => {
    const fs = new CrashFs({ trace: false, ...(capacityBytes !== undefined && { capacityBytes }) });
    await using store = await openOn(fs, '/s', options);
    const [low, full, room] = SPACE_ALERTS;
    expect(SPACE_ALERTS).toHaveLength(3);
    const register = new Registry();
    collectStore(store, { register });
    const text = (): Promise<string> => register.metrics();
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    const before = await text();
    expect(SPACE_ALERTS.map((alert) => fires(alert, before))).toEqual([false, false, false]);
    let wasLow = false;
    let refusal: unknown;
    for (let key = 0; refusal === undefined && key < 2_000; key++) {
      const data = crypto.getRandomValues(new Uint8Array(20_000));
      refusal = await store.insertBatch([{ type: 'put', key, value: 1, data }]).then(
        () => undefined,
        (error: unknown) => error,
      );
      for (let i = 0; i < 5; i++) await new Promise(setImmediate);
      if (refusal === undefined && fires(low!, await text())) wasLow = true;
    }
    expect(refusal).toBeInstanceOf(StoreFullError);
    expect(wasLow).toBe(true);
    expect(fires(full!, await text())).toBe(true);
    expect(fires(room!, await text())).toBe(true);
    if (capacityBytes === undefined) {
      expect((refusal as Error).message).toMatch(/are kept for the next merge and \d+ for deletes/);
    }
  },
);

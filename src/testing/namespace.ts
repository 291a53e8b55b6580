import { present } from '../base/assert.ts';
import { applyName } from './disk/effect.ts';
import type { CrashModel, NameEffect } from './disk/effect.ts';
import { touchSameName } from './disk/effect.ts';
import { ROOT_ID } from './disk/name-table.ts';
import type { Entries, NameTable } from './disk/name-table.ts';

/** The names that remain after a crash: all that are reachable from the root. */
export interface Namespace {
  /** A phrase for what was kept. */
  readonly label: string;
  readonly directories: readonly KeptDirectory[];
  readonly files: readonly KeptName[];
  /** Equal for equal namespaces. */
  readonly key: string;
}

export interface KeptDirectory {
  readonly id: number;
  readonly parentId: number;
  readonly path: string;
  readonly entries: Entries;
}

export interface KeptName {
  readonly path: string;
  readonly inodeId: number;
}

/** The pending name effects that a crash keeps. */
export type NameSelection = ReadonlySet<NameEffect>;

const MAX_FOR_ALL_SUBSETS = 5;

/** E2: the legal selections of pending names. The first is empty, the last is complete. */
export function nameSelections(pending: readonly NameEffect[], model: CrashModel): NameSelection[] {
  if (model === 'ordered') return prefixes(pending);
  const selections =
    pending.length <= MAX_FOR_ALL_SUBSETS
      ? subsets(pending)
      : [
          ...prefixes(pending).slice(0, -1),
          ...pending.map((effect) => new Set([effect])),
          ...pending.map((effect) => new Set(pending.filter((other) => other !== effect))),
          new Set(pending),
        ];
  if (model === 'posix') return selections;
  return selections.filter((selection) => keepsNameOrder(pending, selection));
}

/** The rule of `linked`: an effect survives only if the earlier effects on its names survive. */
export function keepsNameOrder(pending: readonly NameEffect[], kept: NameSelection): boolean {
  return pending.every(
    (later, index) =>
      !kept.has(later) ||
      pending
        .slice(0, index)
        .every((earlier) => kept.has(earlier) || !touchSameName(earlier, later)),
  );
}

/** Applies durable and kept effects to the durable names. */
export function buildNamespace(table: NameTable, kept: NameSelection): Namespace {
  const changed = new Map<number, Map<string, number>>();
  for (const effect of table.effects) {
    if (effect.status !== 'durable' && !kept.has(effect)) continue;
    let entries = changed.get(effect.directoryId);
    if (entries === undefined) {
      entries = new Map(table.directories.get(effect.directoryId)?.durable);
      changed.set(effect.directoryId, entries);
    }
    applyName(effect, entries);
  }
  return reach(table, changed, describe(table, kept));
}

function reach(table: NameTable, changed: ReadonlyMap<number, Entries>, label: string): Namespace {
  const directories: KeptDirectory[] = [];
  const files: KeptName[] = [];
  const enter = (id: number, parentId: number, path: string): void => {
    const { durable } = present(table.directories.get(id), 'only directories are traversed');
    const entries = changed.get(id) ?? durable;
    directories.push({ id, parentId, path, entries });
    for (const [name, inodeId] of entries) {
      if (table.directories.has(inodeId)) enter(inodeId, id, `${path}/${name}`);
      else files.push({ path: `${path}/${name}`, inodeId });
    }
  };
  enter(ROOT_ID, ROOT_ID, '');
  const names = [
    ...directories.map(({ path, id }) => `${path}\0${id}`),
    ...files.map(({ path, inodeId }) => `${path}\0${inodeId}`),
  ];
  return { label, directories, files, key: names.toSorted().join('\n') };
}

function describe(table: NameTable, kept: NameSelection): string {
  const pending = table.pending();
  if (pending.length === 0) return 'no name pending';
  const told = pending.map((effect) => {
    const from = effect.fromName === undefined ? '' : `${effect.fromName} to `;
    return `${kept.has(effect) ? 'kept' : 'lost'} ${effect.kind} ${from}${effect.name}`;
  });
  return told.join(', ');
}

function prefixes(pending: readonly NameEffect[]): NameSelection[] {
  return Array.from({ length: pending.length + 1 }, (_, count) => new Set(pending.slice(0, count)));
}

function subsets(pending: readonly NameEffect[]): NameSelection[] {
  return Array.from(
    { length: 2 ** pending.length },
    (_, mask) => new Set(pending.filter((_effect, bit) => (mask & (1 << bit)) !== 0)),
  );
}

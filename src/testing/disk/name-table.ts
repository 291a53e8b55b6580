import { present } from '../../base/assert.ts';
import { applyName, endedBefore, touchSameName } from './effect.ts';
import type { NameEffect } from './effect.ts';
import { systemError } from './system-error.ts';

export const ROOT_ID = 0;

/** Names to inode numbers. Never changed in place: copies of a directory share them. */
export type Entries = ReadonlyMap<string, number>;

export interface SimulatedDirectory {
  readonly id: number;
  readonly parentId: number;
  live: Entries;
  /** What every crash keeps; the table's effects apply on top. */
  durable: Entries;
}

/**
 * The resolution of a path: its directory, its last name, and the inode of that name if it exists.
 */
export interface NamePlace {
  readonly directory: SimulatedDirectory;
  readonly name: string;
  readonly inodeId: number | undefined;
}

/** All directories, and the name effects that are not folded into them, in order of their start. */
export class NameTable {
  readonly directories: Map<number, SimulatedDirectory> = new Map();
  effects: NameEffect[] = [];

  static withRoot(): NameTable {
    const table = new NameTable();
    table.addDirectory(ROOT_ID, ROOT_ID, new Map());
    return table;
  }

  addDirectory(id: number, parentId: number, entries: Entries): void {
    this.directories.set(id, { id, parentId, live: entries, durable: entries });
  }

  clone(): NameTable {
    const copy = new NameTable();
    for (const [id, directory] of this.directories) copy.directories.set(id, { ...directory });
    copy.effects = this.effects.map((effect) => ({ ...effect }));
    return copy;
  }

  /**
   * Resolves a path from a directory, by default the root. Throws `ENOENT` or `ENOTDIR` if the
   * parent directory does not exist; `syscall` is for the error.
   */
  locate(path: string, syscall: string, fromId: number = ROOT_ID): NamePlace {
    const parts = splitPath(path);
    const name = parts.pop() ?? '.';
    let directory = present(this.directories.get(fromId), 'a path begins at a directory');
    for (const part of parts) {
      const id = directory.live.get(part);
      if (id === undefined) throw systemError('ENOENT', syscall, path);
      const next = this.directories.get(id);
      if (next === undefined) throw systemError('ENOTDIR', syscall, path);
      directory = next;
    }
    const inodeId = name === '.' ? directory.id : directory.live.get(name);
    return { directory, name, inodeId };
  }

  /** The inode at `path`. Throws `ENOENT`. */
  find(path: string, syscall: string): number {
    const { inodeId } = this.locate(path, syscall);
    if (inodeId === undefined) throw systemError('ENOENT', syscall, path);
    return inodeId;
  }

  /** N1 to N4: visible at once, pending. */
  change(effect: NameEffect): NameEffect {
    const directory = present(
      this.directories.get(effect.directoryId),
      'a name changes in a directory',
    );
    const entries = new Map(directory.live);
    applyName(effect, entries);
    directory.live = entries;
    this.effects.push(effect);
    return effect;
  }

  pending(): NameEffect[] {
    return this.effects.filter((effect) => effect.status === 'pending');
  }

  /**
   * A new name that is not durable gives the file's sync metadata to write: at least the link
   * count.
   */
  hasPendingBirth(inodeId: number): boolean {
    return this.effects.some(
      (effect) =>
        effect.status === 'pending' &&
        effect.inodeId === inodeId &&
        (effect.kind === 'create' || effect.kind === 'link'),
    );
  }

  /** S3: makes the directory's own names durable. */
  commitDirectory(directoryId: number, startTick: number): void {
    this.#commit((effect) => effect.directoryId === directoryId, startTick);
  }

  /** S2 `ordered`: one journal, so everything that ended before. */
  commitAll(startTick: number): void {
    this.#commit(() => true, startTick);
  }

  /**
   * S2 `linked`: the names of one inode and of its missing parents, and earlier effects on those
   * names.
   */
  commitLinked(inodeId: number, directoryId: number, startTick: number): void {
    const wanted = new Set([inodeId]);
    for (let id = directoryId; id !== ROOT_ID;) {
      wanted.add(id);
      id = present(this.directories.get(id), 'a parent is a directory').parentId;
    }
    const chosen: NameEffect[] = [];
    for (const effect of this.pending().toReversed()) {
      const named = effect.kind !== 'unlink' && wanted.has(effect.inodeId);
      const needed = chosen.some((later) => touchSameName(effect, later));
      if ((named && endedBefore(effect, startTick)) || needed) chosen.push(effect);
    }
    this.#commit((effect) => chosen.includes(effect), startTick);
  }

  #commit(covers: (effect: NameEffect) => boolean, startTick: number): void {
    for (const effect of this.effects) {
      if (endedBefore(effect, startTick) && covers(effect)) effect.status = 'durable';
    }
    const blocked = new Set<number>();
    this.effects = this.effects.filter((effect) => {
      if (effect.status !== 'durable') blocked.add(effect.directoryId);
      if (blocked.has(effect.directoryId)) return true;
      this.#fold(effect);
      return false;
    });
  }

  #fold(effect: NameEffect): void {
    const directory = present(
      this.directories.get(effect.directoryId),
      'a name changes in a directory',
    );
    const entries = new Map(directory.durable);
    applyName(effect, entries);
    directory.durable = entries;
  }
}

/** Skips `.` and empty parts, resolves `..` by name. */
function splitPath(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts;
}

import { present } from '../../base/assert.ts';
import { Content, hashPair } from './content.ts';
import { PAGE_BYTES } from './effect.ts';
import type { CrashModel, DataEffect, NameEffect } from './effect.ts';
import { FileInode } from './file-inode.ts';
import { NameTable, ROOT_ID } from './name-table.ts';
import type { NamePlace } from './name-table.ts';
import { systemError } from './system-error.ts';

const UNLIMITED_FREE_BYTES = 2 ** 50;

/** Files, names, and what is durable of them: the rules, without calls and without time. */
export class Disk {
  readonly model: CrashModel;
  readonly capacityBytes: number;
  readonly names: NameTable;
  readonly files: Map<number, FileInode> = new Map();
  /** Counts the starts and ends of calls. */
  tick = 0;
  #nextInodeId = ROOT_ID + 1;

  constructor(model: CrashModel, capacityBytes: number, names: NameTable = NameTable.withRoot()) {
    this.model = model;
    this.capacityBytes = capacityBytes;
    this.names = names;
  }

  /** An independent copy of the disk with the same effects. O(files and effects), not bytes. */
  clone(): Disk {
    const copy = this.emptyCopy(this.names.clone());
    for (const [id, file] of this.files) copy.files.set(id, file.clone());
    return copy;
  }

  /** A disk with the same limits and counters, but other names. */
  emptyCopy(names: NameTable): Disk {
    const copy = new Disk(this.model, this.capacityBytes, names);
    copy.tick = this.tick;
    copy.#nextInodeId = this.#nextInodeId;
    return copy;
  }

  /** Adds a file that exists from the start, and the directories above it. */
  plant(path: string, bytes: Uint8Array): void {
    const parts = path.split('/').filter((part) => part !== '');
    for (let depth = 1; depth < parts.length; depth++) {
      const place = this.names.locate(parts.slice(0, depth).join('/'), 'mkdir');
      if (place.inodeId === undefined) this.makeDirectory(place, 0);
    }
    const { file } = this.createFile(this.names.locate(path, 'open'), 0);
    file.durable = Content.of(bytes);
    file.live.write(bytes, 0);
  }

  /** Makes everything planted durable. */
  endPlanting(): void {
    this.endAllCalls();
    this.tick++;
    for (const id of this.names.directories.keys()) this.syncDirectory(id, this.tick);
  }

  /**
   * After a kill, no call is in flight: a later sync covers calls that the dead process had
   * started.
   */
  endAllCalls(): void {
    const end = (effect: DataEffect | NameEffect): void => {
      if (effect.endTick === Infinity) effect.endTick = this.tick;
    };
    for (const file of this.files.values()) file.effects.forEach(end);
    this.names.effects.forEach(end);
  }

  file(inodeId: number): FileInode | undefined {
    return this.files.get(inodeId);
  }

  /** N1. The effect is undefined for a file that is durable from the start. */
  createFile(place: NamePlace, startTick: number): { file: FileInode; effect: NameEffect } {
    const file = new FileInode(this.#nextInodeId++, place.directory.id, Content.zeros());
    this.files.set(file.id, file);
    const effect = this.#changeName(place, 'create', file.id, startTick);
    return { file, effect };
  }

  /** N1: a second name, in any directory. */
  link(file: FileInode, place: NamePlace, startTick: number): NameEffect {
    file.linkCount++;
    return this.#changeName(place, 'link', file.id, startTick);
  }

  /** N4. */
  makeDirectory(place: NamePlace, startTick: number): NameEffect {
    const id = this.#nextInodeId++;
    this.names.addDirectory(id, place.directory.id, new Map());
    return this.#changeName(place, 'makeDirectory', id, startTick);
  }

  /** N3, and N4 for a directory. */
  unlink(place: NamePlace, startTick: number): NameEffect {
    const inodeId = present(place.inodeId, 'a removed name exists');
    const file = this.files.get(inodeId);
    if (file !== undefined) file.linkCount--;
    return this.#changeName(place, 'unlink', inodeId, startTick);
  }

  /** N2. */
  rename(from: NamePlace, to: NamePlace, startTick: number): NameEffect {
    const inodeId = present(from.inodeId, 'a renamed name exists');
    const replaced = to.inodeId === undefined ? undefined : this.files.get(to.inodeId);
    if (replaced !== undefined) replaced.linkCount--;
    return this.#changeName(to, 'rename', inodeId, startTick, from.name);
  }

  /** S1 and S2: a sync of the file that started at `startTick` succeeds. */
  syncFile(file: FileInode, startTick: number): void {
    const covered = file.coveredBy(startTick);
    const metadata =
      covered.some((effect) => effect.changesSize) || this.names.hasPendingBirth(file.id);
    file.makeDurable(covered);
    if (metadata) this.#commitNamesOf(file.id, file.directoryId, startTick);
    this.#collect();
  }

  /**
   * A write on an `rs+` handle resolves: its bytes and the size they need become durable, nothing
   * else.
   */
  syncWrite(file: FileInode, effect: DataEffect): void {
    file.makeDurable([effect]);
    if (effect.changesSize) this.#commitNamesOf(file.id, file.directoryId, effect.startTick);
    this.#collect();
  }

  /** S3 and S2. */
  syncDirectory(directoryId: number, startTick: number): void {
    const directory = present(
      this.names.directories.get(directoryId),
      'only directories come here',
    );
    const pending = this.names.pending().some((effect) => effect.directoryId === directoryId);
    this.names.commitDirectory(directoryId, startTick);
    if (pending) this.#commitNamesOf(directoryId, directory.parentId, startTick);
    this.#collect();
  }

  /** The number of bytes at `position` that fit on the disk. */
  roomFor(file: FileInode, position: number, lengthBytes: number): number {
    if (this.capacityBytes === Infinity) return lengthBytes;
    const { live, holes } = file;
    const end = position + lengthBytes;
    let free = this.freeBytes();
    for (let start = position; start < end;) {
      const block = Math.floor(start / PAGE_BYTES);
      const stop = Math.min(end, (block + 1) * PAGE_BYTES);
      if (holes.has(block)) free -= PAGE_BYTES;
      if (free < 0) return start - position;
      const growthBytes = Math.max(0, stop - Math.max(start, live.sizeBytes));
      if (growthBytes > free) return Math.max(0, stop - (growthBytes - free) - position);
      free -= growthBytes;
      start = stop;
    }
    return lengthBytes;
  }

  freeBytes(): number {
    if (this.capacityBytes === Infinity) return UNLIMITED_FREE_BYTES;
    let used = 0;
    for (const file of this.files.values()) {
      if (file.linkCount > 0 || file.openCount > 0) used += file.usedBytes;
    }
    return Math.max(0, this.capacityBytes - used);
  }

  /** Calls `visit` for every live path, parents first. The file is undefined for a directory. */
  walk(visit: (path: string, file: FileInode | undefined) => void): void {
    const enter = (directoryId: number, prefix: string): void => {
      for (const [name, inodeId] of this.names.directories.get(directoryId)?.live ?? []) {
        const path = `${prefix}/${name}`;
        const file = this.files.get(inodeId);
        visit(path, file);
        if (file === undefined) enter(inodeId, path);
      }
    };
    enter(ROOT_ID, '');
  }

  /** A hash of all live paths and bytes, equal for equal trees. */
  liveHash(): number {
    let hash = 0;
    this.walk((path, file) => {
      hash = addHash(hash, hashPair(path, file === undefined ? -1 : file.live.hash()));
    });
    return hash;
  }

  #changeName(
    place: NamePlace,
    kind: NameEffect['kind'],
    inodeId: number,
    startTick: number,
    fromName?: string,
  ): NameEffect {
    return this.names.change({
      kind,
      status: 'pending',
      startTick,
      endTick: Infinity,
      directoryId: place.directory.id,
      name: place.name,
      fromName,
      inodeId,
    });
  }

  #commitNamesOf(inodeId: number, directoryId: number, startTick: number): void {
    if (this.model === 'ordered') this.names.commitAll(startTick);
    if (this.model === 'linked') this.names.commitLinked(inodeId, directoryId, startTick);
  }

  /** Drops files that no live, durable or pending name and no handle refers to. */
  #collect(): void {
    const reachable = new Set<number>();
    for (const { live, durable } of this.names.directories.values()) {
      for (const id of live.values()) reachable.add(id);
      for (const id of durable.values()) reachable.add(id);
    }
    for (const effect of this.names.effects) reachable.add(effect.inodeId);
    for (const [id, file] of this.files) {
      if (!reachable.has(id) && file.openCount === 0) this.files.delete(id);
    }
  }
}

const HASH_RANGE = 2 ** 53;

/** Adds hashes independent of their order, within 53 bits. */
export function addHash(sum: number, hash: number): number {
  const room = HASH_RANGE - sum;
  return hash >= room ? hash - room : sum + hash;
}

/** Checks a size or position as the system does. Throws `EINVAL`. */
export function requireOffset(value: number, syscall: string, path: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw systemError('EINVAL', syscall, path);
}

/** The multiples of a page that lie strictly inside (startBytes, endBytes). */
export function pageEdges(startBytes: number, endBytes: number): number[] {
  return edges(startBytes, endBytes, PAGE_BYTES);
}

/** The multiples of `unitBytes` that lie strictly inside (startBytes, endBytes). */
export function edges(startBytes: number, endBytes: number, unitBytes: number): number[] {
  const found: number[] = [];
  const first = (Math.floor(startBytes / unitBytes) + 1) * unitBytes;
  for (let edge = first; edge < endBytes; edge += unitBytes) found.push(edge);
  return found;
}

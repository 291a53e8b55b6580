import { present } from '../base/assert.ts';
import { hashPair } from './disk/content.ts';
import type { Content } from './disk/content.ts';
import { Disk, addHash } from './disk/disk.ts';
import { FileInode } from './disk/file-inode.ts';
import { NameTable } from './disk/name-table.ts';
import type { Namespace } from './namespace.ts';

/** The bytes of a file after a crash. */
export interface KeptContent {
  readonly label: string;
  readonly content: Content;
}

/**
 * One legal state of the disk after a crash: its names, and the content of each file that had
 * unsynced bytes.
 */
export class CrashState {
  /** Equal for equal trees, independent of what was kept; 53 bits. */
  readonly hash: number;
  readonly #before: Disk;
  readonly #namespace: Namespace;
  readonly #contents: ReadonlyMap<number, KeptContent>;

  /** `before` is the disk before the crash. `contents` has an entry for every file with effects. */
  constructor(
    before: Disk,
    namespace: Namespace,
    contents: ReadonlyMap<number, KeptContent>,
    namesHash: number = hashNames(namespace),
  ) {
    this.#before = before;
    this.#namespace = namespace;
    this.#contents = contents;
    let hash = namesHash;
    for (const { path, inodeId } of namespace.files) {
      hash = addHash(hash, hashPair(path, this.#contentOf(inodeId).hash()));
    }
    this.hash = hash;
  }

  /** Describes what was kept, for the message of a failing test. */
  describe(): string {
    const lines = [this.#namespace.label];
    for (const { path, inodeId } of this.#namespace.files) {
      const kept = this.#contents.get(inodeId);
      if (kept !== undefined) lines.push(`${path}: ${kept.label}`);
    }
    return lines.join('; ');
  }

  /** The disk after the crash; everything on it is durable. Shares all bytes. */
  toDisk(): Disk {
    const names = new NameTable();
    for (const { id, parentId, entries } of this.#namespace.directories) {
      names.addDirectory(id, parentId, entries);
    }
    const disk = this.#before.emptyCopy(names);
    for (const { inodeId } of this.#namespace.files) {
      const known = disk.files.get(inodeId);
      if (known !== undefined) {
        known.linkCount++;
        continue;
      }
      const { directoryId, holes } = this.#fileOf(inodeId);
      const file = new FileInode(inodeId, directoryId, this.#contentOf(inodeId).share());
      file.holes = holes.keptIn(file.durable);
      disk.files.set(inodeId, file);
    }
    return disk;
  }

  #contentOf(inodeId: number): Content {
    return this.#contents.get(inodeId)?.content ?? this.#fileOf(inodeId).durable;
  }

  #fileOf(inodeId: number): FileInode {
    return present(this.#before.files.get(inodeId), 'a kept name leads to a file');
  }
}

/** The contribution of the directories to a state's hash. */
export function hashNames(namespace: Namespace): number {
  let hash = 0;
  for (const { path } of namespace.directories) {
    if (path !== '') hash = addHash(hash, hashPair(path, -1));
  }
  return hash;
}

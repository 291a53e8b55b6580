import { writevFully, type OpenFile } from 'lodestore/fs';
import { NodeError, NoSpaceError } from '../node-errors.ts';
import { isLackOfSpace } from './files.ts';
import { isOfVersion2, type RecordPieces } from './record.ts';
import type { VolumeKind, VolumeVersion } from './volume-header.ts';
import { GROUP_ALIGN_BYTES, HEADER_BYTES } from './volume-header.ts';
import { readVolumeHeader, type VolumeSet } from './volume-set.ts';
import type { Volume } from './volume.ts';
import { nextTurn } from '../turn-pace.ts';

/** A group takes no more records once it has this many bytes, or this many records. */
const GROUP_BYTES = 8 * 2 ** 20;
const GROUP_RECORDS = 1_000;

const PADDING = Buffer.alloc(GROUP_ALIGN_BYTES);

/** A durable record. Its volume is kept until `settle`, whether it is published or not. */
export class Appended {
  readonly volume: Volume;
  readonly offset: number;
  readonly lengthBytes: number;
  /** The end of its group. */
  readonly groupEnd: number;
  #isSettled = false;

  constructor(volume: Volume, offset: number, lengthBytes: number, groupEnd: number) {
    this.volume = volume;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
    this.groupEnd = groupEnd;
    volume.pending++;
  }

  settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.volume.pending--;
  }
}

interface Waiting {
  /** Contiguous records, or the start of one. */
  readonly bytes: Buffer;
  /** What follows the start. */
  readonly rest: readonly Uint8Array[];
  readonly lengths: readonly number[];
  readonly resolve: (appended: Appended[]) => void;
  readonly reject: (error: unknown) => void;
}

function lengthOf({ lengths }: Waiting): number {
  let sum = 0;
  for (const length of lengths) sum += length;
  return sum;
}

/** The volume that is being written. */
interface Current {
  readonly volume: Volume;
  readonly file: OpenFile;
  readonly version: VolumeVersion;
  readonly limitBytes: number;
}

export interface WriterFigures {
  groups: number;
  records: number;
  writtenBytes: number;
  syncs: number;
  failedGroups: number;
  rotations: number;
}

export interface GroupWriterOptions {
  readonly kind: VolumeKind;
  readonly bucketId: number;
  /** The volume whose records are copied. */
  readonly original?: Volume;
  /** Length at which a volume is followed by the next, asked for when it is begun or continued. */
  readonly volumeBytes: () => number;
  readonly figures: WriterFigures;
  /** Called for each full volume. */
  readonly onSealed: (volume: Volume) => void;
}

/**
 * Appends records to one volume after another. All records that arrive while a group is written and
 * synced form the next group: one write, one sync. A group ends at a multiple of 4 KiB.
 *
 * After a failed write or sync, the bytes after the last group are unknown, and a second sync would
 * prove nothing: the group is rejected and the volume sealed at its last good end. Only after a
 * lack of space, the same place is tried again.
 *
 * A volume is of version 1 until a compressed record comes, which begins a volume of version 2: a
 * node of an earlier version refuses that one, and reads the others.
 */
export class GroupWriter {
  readonly #volumes: VolumeSet;
  readonly #options: GroupWriterOptions;
  #queue: Waiting[] = [];
  #current: Current | undefined;
  #running: Promise<void> | undefined;
  /** Those who wait for the next volume to be begun. */
  #rotations: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #isClosed = false;

  constructor(volumes: VolumeSet, options: GroupWriterOptions) {
    this.#volumes = volumes;
    this.#options = options;
  }

  get volume(): Volume | undefined {
    return this.#current?.volume;
  }

  /** Continues a volume of an earlier run, which ends with a whole group. */
  async resume(volume: Volume): Promise<void> {
    const file = await this.#volumes.files.open(this.#volumes.path(volume.number), 'r+');
    try {
      const header = await readVolumeHeader(file);
      const version = 'reason' in header ? 1 : header.version;
      this.#current = { volume, file, version, limitBytes: this.#options.volumeBytes() };
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** Durable when it resolves. The record's bytes belong to the writer until then. */
  append(record: Buffer): Promise<Appended> {
    return this.appendPieces({ head: record, rest: [], lengthBytes: record.length });
  }

  /** As `append`. */
  appendPieces({ head, rest, lengthBytes }: RecordPieces): Promise<Appended> {
    return new Promise((resolve, reject) => {
      this.#add({
        bytes: head,
        rest,
        lengths: [lengthBytes],
        resolve: ([appended]) => resolve(appended!),
        reject,
      });
    });
  }

  /** As `append`, for contiguous records: they are in one group. */
  appendAll(bytes: Buffer, lengths: readonly number[]): Promise<Appended[]> {
    return new Promise((resolve, reject) =>
      this.#add({ bytes, rest: [], lengths, resolve, reject }),
    );
  }

  #add(waiting: Waiting): void {
    if (this.#isClosed) {
      waiting.reject(new NodeError('CLOSED', 'the node is closed'));
      return;
    }
    this.#queue.push(waiting);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Records appended in the same turn of the event loop join the group.
    await nextTurn();
    while (this.#queue.length > 0 || this.#rotations.length > 0) {
      await this.#rotateIfAsked();
      if (this.#queue.length === 0) continue;
      const group = this.#takeGroup();
      try {
        await this.#write(group);
      } catch (error) {
        this.#options.figures.failedGroups++;
        for (const one of group) one.reject(error);
      }
    }
    this.#running = undefined;
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < GROUP_RECORDS && bytes < GROUP_BYTES) {
      bytes += lengthOf(this.#queue[count]!);
      count++;
    }
    const group = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return group;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    const contentBytes = group.reduce((sum, one) => sum + lengthOf(one), 0);
    const paddingBytes = -contentBytes & (GROUP_ALIGN_BYTES - 1);
    const version = versionFor(group);
    const { volume, file } = await this.#room(contentBytes + paddingBytes, version);
    const seal = this.#volumes.sealOf(volume.number);
    const start = volume.writtenBytes;
    let at = start;
    const sources: Uint8Array[] = [];
    for (const { bytes, rest, lengths } of group) {
      let from = 0;
      for (const length of lengths) {
        seal.place(bytes, from, at + from);
        from += length;
      }
      sources.push(bytes, ...rest);
      at += from;
    }
    if (paddingBytes > 0) sources.push(PADDING.subarray(0, paddingBytes));
    const end = at + paddingBytes;
    await this.#put(file, sources, start);
    const { figures } = this.#options;
    volume.writtenBytes = end;
    figures.groups++;
    figures.syncs++;
    figures.writtenBytes += end - start;
    at = start;
    for (const { lengths, resolve } of group) {
      figures.records += lengths.length;
      const appended: Appended[] = [];
      for (const length of lengths) {
        appended.push(new Appended(volume, at, length, end));
        at += length;
      }
      resolve(appended);
    }
  }

  async #put(file: OpenFile, sources: readonly Uint8Array[], start: number): Promise<void> {
    try {
      await writevFully(file, sources, start);
    } catch (error) {
      if (!isLackOfSpace(error)) throw await this.#abandon(error);
      await this.#cutBack(file, start);
      const needed = sources.reduce((sum, source) => sum + source.length, 0);
      const free = await this.#volumes.files.freeBytes(this.#volumes.directory).catch(() => 0);
      throw new NoSpaceError(needed, free);
    }
    try {
      await file.dataSync();
    } catch (error) {
      throw await this.#abandon(error);
    }
  }

  /** Removes what was written of a rejected group; if that fails, the volume is abandoned. */
  async #cutBack(file: OpenFile, start: number): Promise<void> {
    try {
      await file.truncate(start);
    } catch (error) {
      await this.#abandon(error);
    }
  }

  async #abandon(error: unknown): Promise<unknown> {
    const current = this.#current;
    this.#current = undefined;
    if (current !== undefined) {
      this.#sealed(current.volume);
      await current.file.close().catch(() => undefined);
    }
    return error;
  }

  #sealed(volume: Volume): void {
    volume.state = 'sealed';
    this.#options.onSealed(volume);
  }

  /** The volume for the next group. */
  async #room(groupBytes: number, version: VolumeVersion): Promise<Current> {
    const current = this.#current;
    if (current !== undefined) {
      const { writtenBytes } = current.volume;
      const fits = writtenBytes + groupBytes <= current.limitBytes;
      const mayHold = current.version >= version;
      if (mayHold && (fits || writtenBytes === HEADER_BYTES)) return current;
      await this.#rotate();
    }
    const { kind, bucketId, original, volumeBytes, figures } = this.#options;
    const made = await this.#volumes.create(kind, bucketId, version, original);
    figures.rotations++;
    this.#current = { ...made, version, limitBytes: volumeBytes() };
    return this.#current;
  }

  /** Lets the next group start a new volume; resolves when the present one is sealed. */
  rotate(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#rotations.push({ resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async #rotateIfAsked(): Promise<void> {
    const asked = this.#rotations;
    if (asked.length === 0) return;
    this.#rotations = [];
    try {
      await this.#rotate();
      for (const { resolve } of asked) resolve();
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  async #rotate(): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    this.#sealed(current.volume);
    await current.file.close();
  }

  /** Resolves when nothing waits to be written. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Takes no more records, writes those that wait, and seals the volume. */
  async end(): Promise<void> {
    this.#isClosed = true;
    await this.idle();
    await this.#rotate();
  }

  /** As `end`, but the volume may be continued. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.idle();
    await this.#current?.file.close();
    this.#current = undefined;
  }
}

/** The version of volumes that may have all records of a group. */
function versionFor(group: readonly Waiting[]): VolumeVersion {
  for (const { bytes, lengths } of group) {
    let at = 0;
    for (const length of lengths) {
      if (isOfVersion2(bytes, at)) return 2;
      at += length;
    }
  }
  return 1;
}

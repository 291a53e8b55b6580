import { readFully, writeFully, type FileSystem, type OpenFile } from 'lodestore/fs';
import { DamagedObjectError, NodeError, NoHolesError, NoSpaceError } from '../node-errors.ts';
import { FileCache } from './file-cache.ts';
import { isLackOfSpace, isMissing, isWithoutHoles } from './files.ts';
import { MAX_VOLUME_NUMBER } from './handle.ts';
import { HeaderSeal } from './record.ts';
import { Volume } from './volume.ts';
import { decodeVolumeHeader, encodeVolumeHeader, HEADER_BYTES } from './volume-header.ts';
import type { HeaderFault, VolumeHeader, VolumeKind, VolumeVersion } from './volume-header.ts';

/** Keeps the state of volumes durable. */
export interface VolumeLedger {
  /** Durable when it resolves. A file is created only then, so each file has an entry. */
  record(volume: Volume): Promise<void>;
  /** Removes the entry of a removed volume. */
  forget(volume: Volume): Promise<void>;
}

export interface VolumeSetOptions {
  readonly files: FileSystem;
  readonly directory: string;
  readonly nodeId: Uint8Array;
  readonly maxOpenFiles: number;
  readonly now: () => number;
  /** Called once per damaged place, however often it is read. */
  readonly onDamage?: (error: DamagedObjectError) => void;
  /** Called once, when parts of files turn out not to be freed here. */
  readonly onNoHoles?: (error: NoHolesError) => void;
}

/** A range of a file, of whole blocks of 4 KiB. */
export interface Hole {
  readonly from: number;
  readonly lengthBytes: number;
}

/** Number of damaged places that are remembered as reported; beyond it, all are forgotten. */
const MOST_TOLD = 10_000;

const NAME = /^volume-(\d{8})\.vol$/;

export function volumeFileName(number: number): string {
  return `volume-${String(number).padStart(8, '0')}.vol`;
}

/** The number in a volume's file name. */
export function numberOfFileName(name: string): number | undefined {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * All volumes of a node. Numbers are never reused, so a reference to a removed volume finds
 * nothing, and never another volume's bytes.
 */
export class VolumeSet {
  readonly files: FileSystem;
  readonly directory: string;
  readonly nodeId: Uint8Array;
  /** Set once, before the first volume is created. */
  ledger: VolumeLedger | undefined;
  nextNumber = 1;
  readonly #volumes = new Map<number, Volume>();
  readonly #seals = new Map<number, HeaderSeal>();
  readonly #cache: FileCache;
  readonly #now: () => number;
  readonly #onDamage: (error: DamagedObjectError) => void;
  readonly #onNoHoles: (error: NoHolesError) => void;
  readonly #told = new Set<string>();
  /** False once the system has refused to free a part of a file. */
  canPunch = true;
  reads = 0;
  readBytes = 0;
  damagedReads = 0;

  constructor(options: VolumeSetOptions) {
    this.files = options.files;
    this.directory = options.directory;
    this.nodeId = options.nodeId;
    this.#now = options.now;
    this.#onDamage = options.onDamage ?? (() => {});
    this.#onNoHoles = options.onNoHoles ?? (() => {});
    this.#cache = new FileCache(
      (number) => this.files.open(this.path(number), 'r'),
      options.maxOpenFiles,
    );
  }

  get openFiles(): number {
    return this.#cache.size;
  }

  path(number: number): string {
    return `${this.directory}/${volumeFileName(number)}`;
  }

  adopt(volume: Volume): void {
    this.#volumes.set(volume.number, volume);
    this.nextNumber = Math.max(this.nextNumber, volume.number + 1);
  }

  get(number: number): Volume | undefined {
    return this.#volumes.get(number);
  }

  [Symbol.iterator](): IterableIterator<Volume> {
    return this.#volumes.values();
  }

  /** @throws DamagedObjectError if the handle refers to no volume */
  existing(number: number, offset: number): Volume {
    const volume = this.#volumes.get(number);
    if (volume === undefined) throw this.damaged({ number }, offset, 'no such volume');
    return volume;
  }

  sealOf(number: number): HeaderSeal {
    let seal = this.#seals.get(number);
    if (seal === undefined) {
      seal = new HeaderSeal(this.nodeId, number);
      this.#seals.set(number, seal);
    }
    return seal;
  }

  /** A new volume and its file, both durable. `original`: it has copies of this one. */
  async create(
    kind: VolumeKind,
    bucketId: number,
    version: VolumeVersion,
    original?: Volume,
  ): Promise<{ readonly volume: Volume; readonly file: OpenFile }> {
    const number = this.nextNumber++;
    if (number > MAX_VOLUME_NUMBER) throw new NodeError('CLOSED', 'all volume numbers are taken');
    const createdMs = original?.createdMs ?? this.#now();
    const volume = new Volume({
      number,
      kind,
      bucketId,
      createdMs,
      state: 'creating',
      liveBytes: 0,
      endBytes: 0,
      newestMs: 0,
      markBytes: 0,
    });
    volume.age = original?.age ?? number;
    await this.ledger!.record(volume);
    this.#volumes.set(number, volume);
    let file: OpenFile | undefined;
    try {
      file = await this.files.open(this.path(number), 'wx');
      const { nodeId } = this;
      const header = { version, nodeId, number, kind, bucketId, createdMs, age: volume.age };
      await writeFully(file, encodeVolumeHeader(header), 0);
      await file.dataSync();
      await this.files.syncDirectory(this.directory);
      volume.state = 'active';
      volume.endBytes = HEADER_BYTES;
      return { volume, file };
    } catch (error) {
      // Nothing refers to it. Its entry and the rest of its file are removed like an emptied
      // volume's.
      volume.state = 'retired';
      await file?.close().catch(() => undefined);
      if (!isLackOfSpace(error)) throw error;
      const freeBytes = await this.files.freeBytes(this.directory).catch(() => 0);
      throw new NoSpaceError(HEADER_BYTES, freeBytes);
    }
  }

  /** Fills `target`. @throws DamagedObjectError if the file ends before that. */
  async read(volume: Volume, target: Buffer, offset: number): Promise<void> {
    this.reads++;
    this.readBytes += target.length;
    const count = await this.readSome(volume, target, offset);
    if (count < target.length) throw this.damaged(volume, offset + count, 'the file ends here');
  }

  /** Reads up to the end of the file. */
  async readSome(volume: Volume, target: Buffer, offset: number): Promise<number> {
    try {
      return await this.#cache.use(volume.number, (file) => readFully(file, target, offset));
    } catch (error) {
      if (isMissing(error)) throw this.damaged(volume, offset, 'the file is missing');
      const { code } = error as { code?: unknown };
      if (code === 'EIO') throw this.damaged(volume, offset, 'the disk cannot read it');
      throw error;
    }
  }

  /** Counts and reports damage found by a read. The caller throws the returned error. */
  damaged(volume: Pick<Volume, 'number'>, offset: number, message: string): DamagedObjectError {
    this.damagedReads++;
    return this.tell(volume, offset, message);
  }

  /** Reports damage, unless this place was reported before. */
  tell(volume: Pick<Volume, 'number'>, offset: number, message: string): DamagedObjectError {
    const error = new DamagedObjectError(volume.number, offset, message);
    const place = `${volume.number}:${offset}`;
    if (this.#told.has(place)) return error;
    if (this.#told.size >= MOST_TOLD) this.#told.clear();
    this.#told.add(place);
    this.#onDamage(error);
    return error;
  }

  /** The whole volume was read, and is sound: damage that is found later is reported again. */
  mended(volume: Volume): void {
    if (volume.damage === undefined) return;
    volume.damage = undefined;
    for (const place of this.#told) {
      if (place.startsWith(`${volume.number}:`)) this.#told.delete(place);
    }
  }

  /**
   * Removes a volume without live data: waits for its readers, then removes the file. Its entry
   * says `retired` from before the removal until after it.
   */
  async retire(volume: Volume): Promise<void> {
    volume.state = 'retired';
    await this.ledger!.record(volume);
    await volume.released();
    await this.#cache.drop(volume.number);
    await this.removeFile(volume.number);
    await this.ledger!.forget(volume);
    this.#volumes.delete(volume.number);
    this.#seals.delete(volume.number);
  }

  /**
   * Frees ranges of a file, which read as zeros then. Resolves to the number of bytes freed: none
   * if the system cannot do it.
   *
   * @throws DamagedObjectError if the disk refuses
   */
  async punch(volume: Volume, holes: readonly Hole[]): Promise<number> {
    if (holes.length === 0 || !this.canPunch) return 0;
    const file = await this.files.open(this.path(volume.number), 'r+');
    let bytes = 0;
    try {
      for (const { from, lengthBytes } of holes) {
        await file.trim(from, lengthBytes);
        bytes += lengthBytes;
      }
      await file.dataSync();
    } catch (error) {
      const { code } = error as { code?: unknown };
      // As a volume that cannot be read, it stays as it is, and upkeep goes on with others.
      if (code === 'EIO') throw this.tell(volume, holes[0]!.from, 'the disk cannot free it');
      if (!isWithoutHoles(error)) throw error;
      this.canPunch = false;
      this.#onNoHoles(new NoHolesError(this.directory, error));
    } finally {
      await file.close();
    }
    return bytes;
  }

  async removeFile(number: number): Promise<void> {
    try {
      await this.files.unlink(this.path(number));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    await this.files.syncDirectory(this.directory);
  }

  /**
   * Checks the header of a file. Resolves to why it cannot be used, or undefined. The age of the
   * volume, which only the header has, is taken over.
   */
  async inspect(number: number): Promise<HeaderFault | undefined> {
    const file = await this.files.open(this.path(number), 'r');
    try {
      const header = await readVolumeHeader(file);
      if ('reason' in header) return header;
      const foreign = (reason: string): HeaderFault => ({ cause: 'foreign', reason });
      if (Buffer.compare(header.nodeId, this.nodeId) !== 0) {
        return foreign('it belongs to another node');
      }
      if (header.number !== number) {
        return foreign(`its header says that it is volume ${header.number}`);
      }
      const volume = this.#volumes.get(number);
      if (volume !== undefined) volume.age = header.age;
      return undefined;
    } finally {
      await file.close();
    }
  }

  close(): Promise<void> {
    return this.#cache.close();
  }
}

/** The header of a volume's file. */
export async function readVolumeHeader(file: OpenFile): Promise<VolumeHeader | HeaderFault> {
  const block = Buffer.alloc(HEADER_BYTES);
  const count = await readFully(file, block, 0);
  return decodeVolumeHeader(block.subarray(0, count));
}

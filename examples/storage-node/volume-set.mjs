// @ts-check
import { mkdir, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DamagedObjectError } from './failure.mjs';
import { Volume } from './volume.mjs';

/**
 * Adjacent bytes of one volume.
 * @typedef {object} Extent
 * @property {number} volume      from 1 on
 * @property {number} offset
 * @property {number} lengthBytes
 */

/** What one read asks of the disk: the unit of back-pressure of a download. */
const READ_BYTES = 256 * 1024;

const NAME = /^volume-(\d{8})$/;

/** @param {number} number */
export const volumeName = (number) => `volume-${String(number).padStart(8, '0')}`;

/**
 * All volumes of a node. Appends go to the newest one; a volume that is full, or has failed, is
 * followed by the next. Each run begins a volume of its own, so a restart needs no search for the
 * end of the last.
 */
export class VolumeSet {
  #directory;
  #volumeBytes;
  #nextNumber;
  /** Volumes in use: one descriptor each. @type {Map<number, Promise<Volume>>} */
  #volumes = new Map();
  /** @type {Volume | undefined} */
  #active;
  /** @type {Promise<void> | undefined} */
  #creating;
  #created = 0;
  #appends = 0;
  #appendedBytes = 0;

  /**
   * @param {string} directory
   * @param {number} volumeBytes
   * @param {number} nextNumber
   */
  constructor(directory, volumeBytes, nextNumber) {
    this.#directory = directory;
    this.#volumeBytes = volumeBytes;
    this.#nextNumber = nextNumber;
  }

  /**
   * @param {string} directory made if there is none; nobody else may append to its volumes
   * @param {{ volumeBytes: number }} options a volume takes no more appends from this length on
   */
  static async open(directory, { volumeBytes }) {
    await mkdir(directory, { recursive: true });
    await syncDirectory(dirname(directory));
    const numbers = (await readdir(directory)).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
    return new VolumeSet(directory, volumeBytes, Math.max(0, ...numbers) + 1);
  }

  /**
   * Appends `bytes` in one piece. They are durable after `sync` of the volume in the result.
   * @param {Uint8Array} bytes
   * @returns {Promise<Extent>}
   */
  async append(bytes) {
    const volume = await this.#writable();
    const offset = await volume.append(bytes);
    this.#appends++;
    this.#appendedBytes += bytes.length;
    return { volume: volume.number, offset, lengthBytes: bytes.length };
  }

  /**
   * Puts everything that was appended to the volumes of `extents` on stable storage.
   * @param {readonly Extent[]} extents
   */
  async sync(extents) {
    const numbers = new Set(extents.map((extent) => extent.volume));
    await Promise.all([...numbers].map(async (number) => (await this.#volume(number)).sync()));
  }

  /**
   * The extent's bytes [from, to), piece by piece as the consumer asks for them.
   * @param {Extent} extent
   * @param {number} from
   * @param {number} to
   * @returns {AsyncGenerator<Buffer, void, undefined>}
   */
  async *read(extent, from, to) {
    const volume = await this.#volume(extent.volume);
    for (let position = from; position < to; position += READ_BYTES) {
      const piece = Buffer.allocUnsafe(Math.min(READ_BYTES, to - position));
      const readBytes = await volume.read(piece, extent.offset + position);
      if (readBytes < piece.length) {
        const end = extent.offset + position + readBytes;
        throw new DamagedObjectError(
          `${volumeName(extent.volume)} ends at ${end}, inside an object`,
        );
      }
      yield piece;
    }
  }

  /** Figures since this run began. */
  async stats() {
    const volumes = await Promise.all(this.#volumes.values());
    return {
      created: this.#created,
      open: volumes.length,
      active: this.#active?.number ?? null,
      activeBytes: this.#active?.tailBytes ?? 0,
      appends: this.#appends,
      appendedBytes: this.#appendedBytes,
      syncs: volumes.reduce((sum, volume) => sum + volume.syncs, 0),
    };
  }

  async close() {
    await this.#creating?.catch(() => undefined);
    const volumes = await Promise.all(this.#volumes.values());
    this.#volumes.clear();
    this.#active = undefined;
    for (const volume of volumes) await volume.close();
  }

  /**
   * The volume that takes appends. Its length is a target: appends under way may take it beyond.
   */
  async #writable() {
    for (;;) {
      const active = this.#active;
      if (active?.isSound && active.tailBytes < this.#volumeBytes) return active;
      this.#creating ??= this.#create().finally(() => (this.#creating = undefined));
      await this.#creating;
    }
  }

  async #create() {
    const number = this.#nextNumber++;
    const volume = await Volume.create(this.#path(number), number);
    this.#volumes.set(number, Promise.resolve(volume));
    // A record must never point into a file whose name a power failure can take back.
    await syncDirectory(this.#directory);
    this.#active = volume;
    this.#created++;
  }

  /** @param {number} number */
  #volume(number) {
    let volume = this.#volumes.get(number);
    if (volume === undefined) {
      volume = Volume.openForReading(this.#path(number), number).catch((error) => {
        this.#volumes.delete(number);
        throw new DamagedObjectError(`${volumeName(number)} cannot be opened`, { cause: error });
      });
      this.#volumes.set(number, volume);
    }
    return volume;
  }

  /** @param {number} number */
  #path(number) {
    return join(this.#directory, volumeName(number));
  }
}

/** @param {string} path */
async function syncDirectory(path) {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

// @ts-check
import { createHash } from 'node:crypto';
import { DamagedObjectError, failureOf } from './failure.mjs';
import { Upload } from './upload.mjs';

/** @import { ObjectIndex } from './object-index.mjs' */
/** @import { StoredObject } from './object-record.mjs' */
/** @import { ExpectedChecksum } from './upload.mjs' */
/** @import { VolumeSet } from './volume-set.mjs' */

/**
 * Objects: bytes in volumes, everything else in the metadata store. The order of a PUT is what
 * makes it safe: first the bytes and their sync, then the record. A crash in between leaves bytes
 * that no record points to.
 */
export class ObjectStore {
  #index;
  #volumes;

  /**
   * @param {ObjectIndex} index
   * @param {VolumeSet} volumes
   */
  constructor(index, volumes) {
    this.#index = index;
    this.#volumes = volumes;
  }

  get size() {
    return this.#index.size;
  }

  /**
   * Resolves when the object is durable, bytes and record. Until then readers see the former
   * object.
   * @param {string} name
   * @param {AsyncIterable<Uint8Array>} body
   * @param {{ contentType: string, limitBytes: number, expected: ExpectedChecksum[] }} options
   * @returns {Promise<{ object: StoredObject, isReplaced: boolean }>}
   */
  async put(name, body, { contentType, limitBytes, expected }) {
    const upload = new Upload(this.#volumes, limitBytes, expected);
    const sha256 = await upload.receive(body).catch(notApplied);
    const { lengthBytes, extents } = upload;
    const object = { name, lengthBytes, sha256, contentType, createdMs: Date.now(), extents };
    return { object, isReplaced: await this.#index.put(object) };
  }

  /** @param {string} name */
  find(name) {
    return this.#index.find(name);
  }

  /** @param {string} name */
  remove(name) {
    return this.#index.remove(name);
  }

  /** @param {Parameters<ObjectIndex['page']>[0]} query */
  page(query) {
    return this.#index.page(query);
  }

  /**
   * The object's bytes [from, to), read as the consumer asks for them. When that is all of them
   * they are checked as well, and the last piece is held back until they are known to be those that
   * were stored.
   * @param {StoredObject} object
   * @param {number} from
   * @param {number} to
   * @returns {AsyncGenerator<Buffer, void, undefined>}
   */
  async *read(object, from = 0, to = object.lengthBytes) {
    if (from > 0 || to < object.lengthBytes) {
      yield* this.#pieces(object, from, to);
      return;
    }
    const hash = createHash('sha256');
    /** @type {Buffer | undefined} */
    let held;
    for await (const piece of this.#pieces(object, from, to)) {
      hash.update(piece);
      if (held !== undefined) yield held;
      held = piece;
    }
    if (!hash.digest().equals(object.sha256)) {
      const volumes = [...new Set(object.extents.map(({ volume }) => volume))];
      throw new DamagedObjectError(`checksum mismatch in bytes from volume ${volumes.join(', ')}`);
    }
    if (held !== undefined) yield held;
  }

  /**
   * @param {StoredObject} object
   * @param {number} from
   * @param {number} to
   */
  async *#pieces(object, from, to) {
    let start = 0;
    for (const extent of object.extents) {
      const first = Math.max(from - start, 0);
      const end = Math.min(to - start, extent.lengthBytes);
      if (first < end) yield* this.#volumes.read(extent, first, end);
      start += extent.lengthBytes;
    }
  }
}

/**
 * No record is written before all bytes are on disk: whatever failed until then changed nothing.
 * @param {unknown} error
 * @returns {never}
 */
function notApplied(error) {
  const failure = failureOf(error);
  failure.outcome = 'not-applied';
  throw failure;
}

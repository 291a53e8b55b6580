// @ts-check
import { createHash } from 'node:crypto';
import { RequestFailure } from './failure.mjs';
import { MAX_EXTENT_BYTES } from './object-record.mjs';

/** @import { Extent, VolumeSet } from './volume-set.mjs' */

/**
 * A checksum that the client says the object has.
 * @typedef {{ algorithm: 'sha256' | 'md5', digest: Buffer, header: string }} ExpectedChecksum
 */

/**
 * Bytes gathered for an append: what an upload holds in memory, and the least extent but for the
 * last.
 */
export const GATHER_BYTES = 1024 * 1024;

/**
 * The bytes of one object on their way to the volumes. They are appended as they come, a MiB at a
 * time, between those of other uploads: a slow client reserves nothing, and the length need not be
 * known beforehand.
 */
export class Upload {
  /** @type {Extent[]} */
  extents = [];
  lengthBytes = 0;
  #volumes;
  #limitBytes;
  #expected;
  #hashes;
  /** @type {Uint8Array[]} */
  #gathered = [];
  #gatheredBytes = 0;

  /**
   * @param {VolumeSet} volumes
   * @param {number} limitBytes
   * @param {ExpectedChecksum[]} expected
   */
  constructor(volumes, limitBytes, expected) {
    this.#volumes = volumes;
    this.#limitBytes = limitBytes;
    this.#expected = expected;
    const algorithms = new Set(['sha256', ...expected.map(({ algorithm }) => algorithm)]);
    this.#hashes = new Map([...algorithms].map((name) => [name, createHash(name)]));
  }

  /**
   * Takes the whole body and resolves when its bytes are on stable storage; only then may a record
   * point to them. If it rejects, what has been appended is dead space that nothing points to.
   * @param {AsyncIterable<Uint8Array>} body
   * @returns {Promise<Uint8Array>} the SHA-256
   */
  async receive(body) {
    for await (const chunk of body) await this.#take(chunk);
    if (this.#gatheredBytes > 0 || this.extents.length === 0) await this.#append();
    const sha256 = this.#verify();
    await this.#volumes.sync(this.extents);
    return sha256;
  }

  /** @param {Uint8Array} chunk */
  async #take(chunk) {
    this.lengthBytes += chunk.length;
    if (this.lengthBytes > this.#limitBytes) throw tooLarge(this.#limitBytes);
    for (const hash of this.#hashes.values()) hash.update(chunk);
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.length;
    if (this.#gatheredBytes >= GATHER_BYTES) await this.#append();
  }

  async #append() {
    const [only = Buffer.alloc(0), ...others] = this.#gathered;
    const bytes = others.length === 0 ? only : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const extent = await this.#volumes.append(bytes);
    const last = this.extents.at(-1);
    if (last !== undefined && isAdjacent(last, extent)) last.lengthBytes += extent.lengthBytes;
    else this.extents.push(extent);
  }

  #verify() {
    const digests = new Map([...this.#hashes].map(([name, hash]) => [name, hash.digest()]));
    for (const { algorithm, digest, header } of this.#expected) {
      if (digests.get(algorithm)?.equals(digest)) continue;
      throw new RequestFailure(400, 'checksum-mismatch', `the body is not what ${header} says`);
    }
    return /** @type {Buffer} */ (digests.get('sha256'));
  }
}

/** @param {number} limitBytes */
export function tooLarge(limitBytes) {
  return new RequestFailure(413, 'too-large', `an object may have at most ${limitBytes} bytes`);
}

/**
 * Whether `next` continues `last`, and both still fit the length field of a record.
 * @param {Extent} last
 * @param {Extent} next
 */
function isAdjacent(last, next) {
  return (
    last.volume === next.volume &&
    last.offset + last.lengthBytes === next.offset &&
    last.lengthBytes + next.lengthBytes <= MAX_EXTENT_BYTES
  );
}

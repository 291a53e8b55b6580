// @ts-check
import { createHash } from 'node:crypto';
import { RequestFailure } from './failure.mjs';
import { decodeName, decodeRecord, encodeRecord } from './object-record.mjs';

/** @import { MetadataStore } from 'lodestore' */
/** @import { StoredObject } from './object-record.mjs' */

/** Keys in which an object may be, from the hash of its name on. */
const WINDOW_KEYS = 8;
/** Records looked at for one page, whatever the prefix: about 10 ms of the event loop. */
const PAGE_SCAN_RECORDS = 10_000;

/**
 * The hash of a name: the first 8 bytes of its SHA-256.
 * @param {string} name
 */
export function hashName(name) {
  return createHash('sha256').update(name).digest().readBigUInt64BE(0);
}

/**
 * Objects by name, in a store that knows u64 keys only.
 *
 * 64 bits of a hash collide: by chance among billions of names, and whenever somebody who chooses
 * names spends 2^32 hashes on it. So the record holds the name, and an object may be under any of
 * the `WINDOW_KEYS` keys from the hash of its name on: a lookup asks all of them for that very
 * name, and a new name takes the first that is free. As every lookup asks all keys, removing a
 * record hides no other, and no record ever moves. A name whose window is full is refused, never
 * stored over another.
 */
export class ObjectIndex {
  #metadata;
  #hash;
  /**
   * Keys that are being written, so that two new names never take the same.
   * @type {Map<bigint, { name: string, writers: number }>}
   */
  #claims = new Map();

  /**
   * @param {MetadataStore} metadata
   * @param {(name: string) => bigint} hash
   */
  constructor(metadata, hash = hashName) {
    this.#metadata = metadata;
    this.#hash = hash;
  }

  get size() {
    return this.#metadata.size;
  }

  /**
   * @param {string} name
   * @returns {StoredObject | undefined}
   */
  find(name) {
    for (const key of this.#window(name)) {
      const record = this.#metadata.get(key);
      if (record !== undefined && decodeName(record) === name) return decodeRecord(record);
    }
    return undefined;
  }

  /**
   * Stores an object's record, in place of an older one of the same name. Resolves when it is
   * durable, with whether there was one. Of two writers of one name the later call wins.
   * @param {StoredObject} object its bytes must be on stable storage
   * @returns {Promise<boolean>}
   */
  async put(object) {
    const { key, isTaken } = this.#place(object.name);
    const claim = this.#claims.get(key) ?? { name: object.name, writers: 0 };
    this.#claims.set(key, claim);
    claim.writers++;
    try {
      await this.#metadata.insertBatch([{ type: 'put', key, ...encodeRecord(object) }]);
    } finally {
      if (--claim.writers === 0) this.#claims.delete(key);
    }
    return isTaken;
  }

  /**
   * Resolves when the removal is durable, with whether there was such an object.
   * @param {string} name
   * @returns {Promise<boolean>}
   */
  async remove(name) {
    for (const key of this.#window(name)) {
      const record = this.#metadata.get(key);
      if (record === undefined || decodeName(record) !== name) continue;
      await this.#metadata.insertBatch([{ type: 'del', key }]);
      return true;
    }
    return false;
  }

  /**
   * Objects in the order of their keys, which is stable but not that of their names. A page may
   * hold fewer than `limit`, or none, and yet have a `next`: the cursor with which the following
   * page begins.
   * @param {{ prefix: string, after: bigint | undefined, limit: number }} query
   * @returns {{ objects: StoredObject[], next: bigint | undefined }}
   */
  page({ prefix, after, limit }) {
    const objects = [];
    let scanned = 0;
    for (const [key, record] of this.#metadata.entries({ gt: after })) {
      if (decodeName(record).startsWith(prefix)) objects.push(decodeRecord(record));
      if (objects.length === limit || ++scanned === PAGE_SCAN_RECORDS)
        return { objects, next: key };
    }
    return { objects, next: undefined };
  }

  /**
   * The key under which an object is, is being written, or can be.
   * @param {string} name
   */
  #place(name) {
    /** @type {bigint | undefined} */
    let free;
    for (const key of this.#window(name)) {
      const record = this.#metadata.get(key);
      const claim = this.#claims.get(key);
      if (record !== undefined && decodeName(record) === name) return { key, isTaken: true };
      if (claim?.name === name) return { key, isTaken: false };
      if (record === undefined && claim === undefined) free ??= key;
    }
    if (free !== undefined) return { key: free, isTaken: false };
    const message = `${WINDOW_KEYS} other names have the same hash; choose another name`;
    throw new RequestFailure(409, 'hash-collision', message);
  }

  /** @param {string} name */
  *#window(name) {
    const first = this.#hash(name);
    for (let i = 0n; i < WINDOW_KEYS; i++) yield BigInt.asUintN(64, first + i);
  }
}

/**
 * The interface of every store under test.
 *
 * @typedef {object} Batch Parallel arrays; `data[i] === null` deletes `keys[i]`.
 * @property {bigint[]} keys
 * @property {bigint[]} values
 * @property {(Uint8Array | null)[]} data
 *
 * @typedef {{ value: bigint, data: Uint8Array }} Found
 *
 * @typedef {object} Store
 * @property {(batch: Batch) => Promise<void>} put Resolves when the batch is durable.
 * @property {(batch: Batch) => Promise<void>} [putConcurrently] For concurrent writers, if that is
 *   a different call.
 * @property {() => void} [warm] Fills the store's own cache, before anything is measured.
 * @property {(key: bigint) => Found | undefined} [get]
 * @property {(keys: BigUint64Array) => unknown} [getMany] Values and data of many keys, or a
 *   promise of them.
 * @property {(visit: (key: bigint, value: bigint, data: Uint8Array) => void) => void |
 *   Promise<void>} [visitAll]
 * @property {() => Promise<void>} [settle] Waits until work in the background is done.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Peer
 * @property {string} name As tables and charts show it.
 * @property {'store' | 'file' | 'memory'} kind `file`: bare system calls, without a store around
 *   them.
 * @property {string} [package] The package whose version the report prints.
 * @property {string} setting What makes it durable, and what was tuned.
 * @property {boolean} [groupsItself] Any number of concurrent batches share a sync without help by
 *   the application.
 * @property {(directory: string, options?: object) => Promise<Store>} open `options` are the
 *   store's own.
 */

/** Bytes of a row without its data: key, value, length. */
const ROW_HEADER_BYTES = 20;

/** @type {(batch: Batch) => number} */
export function batchBytes(batch) {
  let bytes = 0;
  for (const data of batch.data) bytes += ROW_HEADER_BYTES + (data === null ? 0 : data.length);
  return bytes;
}

/**
 * Rows for a bare file: key, value, length, data.
 * @type {(batch: Batch) => Buffer}
 */
export function encodeRows(batch) {
  const bytes = Buffer.allocUnsafe(batchBytes(batch));
  let offset = 0;
  for (let i = 0; i < batch.keys.length; i++) {
    const data = batch.data[i];
    bytes.writeBigUInt64LE(batch.keys[i], offset);
    bytes.writeBigUInt64LE(data === null ? 0n : batch.values[i], offset + 8);
    bytes.writeUInt32LE(data === null ? 0 : data.length, offset + 16);
    offset += ROW_HEADER_BYTES;
    if (data === null) continue;
    bytes.set(data, offset);
    offset += data.length;
  }
  return bytes;
}

/**
 * A key as big-endian bytes, so that byte order is key order.
 * @type {(key: bigint) => Buffer}
 */
export function keyBytes(key) {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(key, 0);
  return bytes;
}

/**
 * Value and data as the one value of a key-value store.
 * @type {(value: bigint, data: Uint8Array) => Buffer}
 */
export function valueBytes(value, data) {
  const bytes = Buffer.allocUnsafe(8 + data.length);
  bytes.writeBigUInt64LE(value, 0);
  bytes.set(data, 8);
  return bytes;
}

/** Nothing, or what {@link valueBytes} made. @type {(bytes?: Buffer) => Found | undefined} */
export function foundIn(bytes) {
  if (bytes === undefined) return undefined;
  return { value: bytes.readBigUInt64LE(0), data: bytes.subarray(8) };
}

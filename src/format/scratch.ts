const FIRST_BYTES: number = 256 * 1024;
const KEPT_BYTES: number = 1024 * 1024;

/**
 * A reused buffer for decompressed payloads. Allocating one per payload would cost as much as
 * decompression.
 */
export class Scratch {
  #bytes: Uint8Array = new Uint8Array(0);

  /** Returns uninitialized bytes, valid until the next call. Large buffers are not kept. */
  take(lengthBytes: number): Uint8Array {
    if (lengthBytes > KEPT_BYTES) return new Uint8Array(lengthBytes);
    if (this.#bytes.length < lengthBytes) {
      this.#bytes = new Uint8Array(lengthBytes <= FIRST_BYTES ? FIRST_BYTES : KEPT_BYTES);
    }
    return this.#bytes.subarray(0, lengthBytes);
  }
}

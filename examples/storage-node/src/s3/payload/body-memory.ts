import { ProtocolError } from '../base/protocol-error.ts';

/**
 * Limits the memory of all bodies that are being received. A request takes its share after its
 * signature was verified and before a byte of its body is read, so that strangers keep nobody out.
 */
export class BodyMemory {
  readonly #limitBytes: number;
  usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get isFull(): boolean {
    return this.usedBytes >= this.#limitBytes;
  }

  /** One larger than the limit is alone in it. */
  hasSpace(bytes: number): boolean {
    return this.usedBytes === 0 || this.usedBytes + bytes <= this.#limitBytes;
  }
}

/** What one request has of it. */
export class BodyShare {
  readonly #memory: BodyMemory;
  #heldBytes = 0;
  #isClosed = false;

  constructor(memory: BodyMemory) {
    this.#memory = memory;
  }

  get isMemoryFull(): boolean {
    return this.#memory.isFull;
  }

  /** @throws ProtocolError SlowDown */
  take(bytes: number): void {
    if (!this.#memory.hasSpace(bytes)) {
      throw new ProtocolError('SlowDown', undefined, { headers: { 'retry-after': '1' } });
    }
    this.hold(bytes);
  }

  /** Counts bytes that are there already; negative ones are gone. */
  hold(bytes: number): void {
    if (this.#isClosed) return;
    this.#heldBytes += bytes;
    this.#memory.usedBytes += bytes;
  }

  /** Gives everything back. Nothing counts from then on. */
  close(): void {
    this.hold(-this.#heldBytes);
    this.#isClosed = true;
  }
}

import { JoinedPieces } from '../joined-pieces.ts';
import { NodeError } from '../node-errors.ts';
import type { Body } from '../object-node.ts';
import { MAX_EXTENTS } from '../ledger/keys.ts';
import type { ByteBudget, IdleHolder } from '../volumes/byte-budget.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { encodeInPieces, FLAG_COMPRESSED, type RecordPieces } from '../volumes/record.ts';
import type { StoredBody } from '../volumes/stored-body.ts';
import type { ExtentEntry } from './content-record.ts';
import type { SpaceGauge } from './space-gauge.ts';

/**
 * Under pressure, a body is flushed only above this size, because very small extents are expensive.
 */
const LEAST_EXTENT_BYTES = 256 * 1024;
/** Unless its client sends nothing for so long while others wait. */
const STALLED_MS = 1_000;
/** Maximum number of extents of one body in flight. */
const IN_FLIGHT = 3;
/** From this number on, extents are four times as long. */
const MANY_EXTENTS = 256;

export interface WrittenExtent {
  readonly at: Appended;
  readonly entry: ExtentEntry;
}

/** A body in memory, or in extents. */
export type WrittenBody =
  | { readonly kind: 'pieces'; readonly pieces: readonly Uint8Array[]; readonly sizeBytes: number }
  | {
      readonly kind: 'extents';
      readonly serial: number;
      readonly extents: readonly WrittenExtent[];
      readonly sizeBytes: number;
    };

export interface BodyTarget {
  readonly budget: ByteBudget;
  readonly extentBytes: number;
  readonly takeSerial: () => number;
  /** The bytes of an extent as they are stored. */
  readonly store: (pieces: readonly Uint8Array[], sizeBytes: number) => Promise<StoredBody>;
  readonly append: (record: RecordPieces) => Promise<Appended>;
  /** Bodies under way are promised space, so that they do not use up the reserve together. */
  readonly space: Pick<SpaceGauge, 'promise' | 'settle'>;
  readonly bucketId: number;
  /** UTF-8. */
  readonly name: Uint8Array;
  readonly timeMs: number;
  readonly maxBytes: number;
  /** True if even a body that fits in memory is written as extents. */
  readonly inExtents: boolean;
}

export interface BodyLimits {
  readonly sizeBytes?: number | undefined;
  /** Promised bytes that the body will replace. */
  readonly freedBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Receives a body with bounded memory, however small its pieces are. A body that fits one extent
 * stays in memory, to be written with its name in one record. A longer body is written while it
 * arrives, and so is one whose client has stopped sending while others wait for memory.
 */
export class BodyWriter implements IdleHolder {
  readonly #target: BodyTarget;
  readonly #pieces = new JoinedPieces();
  #heldBytes = 0;
  #sizeBytes = 0;
  #serial: number | undefined;
  readonly #extents: (WrittenExtent | undefined)[] = [];
  #inFlight: Promise<void>[] = [];
  #promisedBytes = 0;
  /** Its length was known at its start. */
  #isPromised = false;
  #failure: { readonly error: unknown } | undefined;
  /** Runs while its client sends nothing, it holds little, and others wait. */
  #stalled: NodeJS.Timeout | undefined;

  constructor(target: BodyTarget) {
    this.#target = target;
  }

  /**
   * The bytes of `pieces` count in the budget until `release`.
   *
   * @throws BusyError, NodeError `WRONG_SIZE` or `TOO_LARGE`; the errors of `body`; NoSpaceError
   */
  async take(body: Body, limits: BodyLimits): Promise<WrittenBody> {
    const { signal, sizeBytes, freedBytes = 0 } = limits;
    if (sizeBytes !== undefined) {
      this.#promise(sizeBytes, freedBytes);
      this.#isPromised = true;
    }
    for await (const chunk of body) {
      this.#resume();
      signal?.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#inFlight.length >= IN_FLIGHT) await this.#landed(IN_FLIGHT - 1);
      if (chunk.length > 0) await this.#add(chunk, sizeBytes);
      this.#target.budget.idle(this);
    }
    this.#resume();
    signal?.throwIfAborted();
    if (sizeBytes !== undefined && sizeBytes !== this.#sizeBytes) {
      throw wrongSize(sizeBytes, this.#sizeBytes);
    }
    if (this.#serial === undefined && !this.#target.inExtents) {
      return { kind: 'pieces', pieces: this.#pieces.take(), sizeBytes: this.#sizeBytes };
    }
    if (this.#heldBytes > 0) await this.#flush();
    await this.#landed(0);
    return {
      kind: 'extents',
      serial: (this.#serial ??= this.#target.takeSerial()),
      extents: this.#extents as WrittenExtent[],
      sizeBytes: this.#sizeBytes,
    };
  }

  /** @throws NoSpaceError */
  #promise(bytes: number, freedBytes: number): void {
    this.#target.space.promise(bytes, freedBytes);
    this.#promisedBytes += bytes;
  }

  /** So many bytes are written, or somebody else has promised them. By default all. */
  settle(bytes = this.#promisedBytes): void {
    const settled = Math.min(bytes, this.#promisedBytes);
    this.#promisedBytes -= settled;
    this.#target.space.settle(settled);
  }

  async #add(chunk: Uint8Array, sizeBytes: number | undefined): Promise<void> {
    const { budget, maxBytes } = this.#target;
    if (sizeBytes !== undefined && this.#sizeBytes + chunk.length > sizeBytes) {
      throw wrongSize(sizeBytes, this.#sizeBytes + chunk.length);
    }
    if (this.#sizeBytes + chunk.length > maxBytes) {
      throw new NodeError('TOO_LARGE', `a body must have at most ${maxBytes} bytes`);
    }
    for (let from = 0; from < chunk.length;) {
      const limit = this.#extentLimit;
      if (this.#heldBytes >= limit) await this.#flush();
      const piece = chunk.subarray(from, from + limit - this.#heldBytes);
      if (!budget.tryTake(piece.length)) {
        if (this.#heldBytes >= LEAST_EXTENT_BYTES) await this.#flush();
        if (this.#heldBytes === 0) await budget.take(piece.length, this.#sizeBytes === 0);
        else budget.force(piece.length);
      }
      this.#pieces.push(piece);
      this.#heldBytes += piece.length;
      this.#sizeBytes += piece.length;
      from += piece.length;
    }
  }

  get #extentLimit(): number {
    const { extentBytes } = this.#target;
    return this.#extents.length < MANY_EXTENTS ? extentBytes : 4 * extentBytes;
  }

  giveWay(): void {
    const count = this.#extents.length;
    if (this.#heldBytes >= LEAST_EXTENT_BYTES && count < MAX_EXTENTS) this.#startWrite();
    else if (this.#heldBytes > 0 && count < MANY_EXTENTS) {
      this.#stalled ??= setTimeout(() => this.#writeStalled(), STALLED_MS).unref();
    }
  }

  #writeStalled(): void {
    this.#stalled = undefined;
    if (this.#target.budget.waiting > 0) this.#startWrite();
  }

  /** The client sends again, or the body has ended. */
  #resume(): void {
    this.#target.budget.resume(this);
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
  }

  async #flush(): Promise<void> {
    this.#startWrite();
    await this.#landed(IN_FLIGHT - 1);
  }

  #startWrite(): void {
    this.#serial ??= this.#target.takeSerial();
    const index = this.#extents.length;
    if (index >= MAX_EXTENTS) throw new NodeError('TOO_LARGE', 'the body has too many extents');
    const pieces = this.#pieces.take();
    const sizeBytes = this.#heldBytes;
    this.#heldBytes = 0;
    this.#extents.push(undefined);
    this.#inFlight.push(this.#write(this.#serial, index, pieces, sizeBytes));
  }

  async #write(
    serial: number,
    index: number,
    pieces: readonly Uint8Array[],
    sizeBytes: number,
  ): Promise<void> {
    const { store, append, budget } = this.#target;
    try {
      if (!this.#isPromised) this.#promise(sizeBytes, 0);
      const body = await store(pieces, sizeBytes);
      const { record, entry } = this.#encode(serial, index, body, sizeBytes);
      this.#extents[index] = { at: await append(record), entry };
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.settle(sizeBytes);
      budget.give(sizeBytes);
    }
  }

  #encode(
    serial: number,
    index: number,
    { pieces, bodyBytes, blockLengths }: StoredBody,
    sizeBytes: number,
  ): { readonly record: RecordPieces; readonly entry: ExtentEntry } {
    const { bucketId, timeMs, name } = this.#target;
    const record = encodeInPieces({
      kind: 'extent',
      sequence: serial,
      key: BigInt(index),
      bucketId,
      sizeBytes,
      timeMs,
      name,
      meta: new Uint8Array(),
      body: pieces,
      bodyBytes,
      blockLengths,
    });
    const flags = blockLengths === undefined ? 0 : FLAG_COMPRESSED;
    return { record, entry: { sizeBytes, bodyBytes, lengthBytes: record.lengthBytes, flags } };
  }

  /** Waits until at most this many extents are in flight. */
  async #landed(most: number): Promise<void> {
    while (this.#inFlight.length > most) await this.#inFlight.shift();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Releases everything: extents that were written are dead unless they were published. */
  async release(): Promise<void> {
    this.#resume();
    if (this.#heldBytes > 0) this.#target.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
    if (this.#inFlight.length > 0) await Promise.all(this.#inFlight);
    this.settle();
    for (const extent of this.#extents) extent?.at.settle();
  }
}

function wrongSize(expected: number, found: number): NodeError {
  return new NodeError('WRONG_SIZE', `the body has ${found} bytes, not ${expected}`);
}

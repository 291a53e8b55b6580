import type { WalkedRecord } from '../volumes/record-walk.ts';

/**
 * Copies of live records in one buffer, which is written as one piece of a group. It accepts no
 * more records once it has `limitBytes` or `mostRecords`; a longer record is accepted alone.
 */
export class Outbox {
  readonly #limitBytes: number;
  readonly #mostRecords: number;
  #bytes: Buffer;
  #filled = 0;
  #records: WalkedRecord[] = [];

  constructor(limitBytes: number, mostRecords: number) {
    this.#limitBytes = limitBytes;
    this.#mostRecords = mostRecords;
    this.#bytes = Buffer.alloc(0);
  }

  hasRoom(lengthBytes: number): boolean {
    if (this.#records.length === 0) return true;
    return (
      this.#records.length < this.#mostRecords && this.#filled + lengthBytes <= this.#limitBytes
    );
  }

  add(record: WalkedRecord): void {
    const { lengthBytes } = record;
    if (this.#bytes.length < lengthBytes || this.#bytes.length === 0) {
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(lengthBytes, this.#limitBytes));
    }
    const from = this.#filled;
    this.#bytes.set(record.bytes, from);
    this.#filled += lengthBytes;
    this.#records.push(record.in(this.#bytes, from));
  }

  /** The records as in `bytes`. */
  get records(): readonly WalkedRecord[] {
    return this.#records;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#filled);
  }

  clear(): void {
    this.#filled = 0;
    this.#records = [];
  }
}

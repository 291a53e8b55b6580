import type { ContentSum } from '../../format/content-sum.ts';
import { Base } from './base.ts';
import { BaseCursor } from './base-cursor.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import type { TableRecord } from '../layer/table-record.ts';
import {
  NO_RECORD,
  UNKNOWN_KEY,
  type DataLength,
  type OlderContent,
  type Presence,
  type UpdateLayer,
} from '../layer/update-layer.ts';

/** All layers below the live delta, immutable: frozen updates, newest first, and the base. */
export class OlderLayers implements Presence, OlderContent {
  readonly frozen: readonly UpdateLayer[];
  readonly base: Base;
  readonly #highestLow: number;
  readonly #highestHigh: number;

  constructor(frozen: readonly UpdateLayer[], base: Base) {
    this.frozen = frozen;
    this.base = base;
    let low = base.highestLow;
    let high = base.highestHigh;
    for (const layer of frozen) {
      if (layer.highestHigh < high) continue;
      if (layer.highestHigh === high && layer.highestLow <= low) continue;
      low = layer.highestLow;
      high = layer.highestHigh;
    }
    this.#highestLow = low;
    this.#highestHigh = high;
  }

  get memoryBytes(): number {
    let memoryBytes = this.base.memoryBytes;
    for (const layer of this.frozen) memoryBytes += layer.memoryBytes;
    return memoryBytes;
  }

  isPresent(low: number, high: number): boolean {
    // New ids usually are above all existing ones.
    if (high > this.#highestHigh || (high === this.#highestHigh && low > this.#highestLow)) {
      return false;
    }
    for (const layer of this.frozen) {
      const state = layer.stateOf(low, high);
      if (state !== 'unknown') return state === 'present';
    }
    return this.base.has(low, high);
  }

  subtractFrom(sum: ContentSum, low: number, high: number): void {
    for (const layer of this.frozen) {
      if (layer.subtractFrom(sum, low, high) !== 'unknown') return;
    }
    this.base.subtractFrom(sum, low, high);
  }

  /** Adds all records to `sum`. Yields after every chunk, and after every few hundred updates. */
  *addTo(sum: ContentSum): Generator<void, void, undefined> {
    for (const chunk of this.base.chunks()) {
      chunk.addAllTo(sum);
      yield;
    }
    for (let i = this.frozen.length - 1; i >= 0; i--) {
      yield* this.frozen[i]!.applyTo(sum, new OlderLayers(this.frozen.slice(i + 1), this.base));
    }
  }

  lookUp(low: number, high: number): TableRecord | undefined {
    const { frozen } = this;
    for (let i = 0; i < frozen.length; i++) {
      const found = frozen[i]!.lookUp(low, high);
      if (found !== undefined) return found ?? undefined;
    }
    return this.base.chunkOf(low, high)?.recordOf(low, high);
  }

  /** Writes the value of this key (0 if there is no record) as two words to `at` of `target`. */
  readValue(low: number, high: number, target: Uint32Array, at: number): void {
    const { frozen } = this;
    for (let i = 0; i < frozen.length; i++) {
      if (frozen[i]!.readValue(low, high, target, at)) return;
    }
    if (this.base.readValue(low, high, target, at)) return;
    target[at] = 0;
    target[at + 1] = 0;
  }

  /** Like `UpdateLayer.readData`, over all layers: never returns `UNKNOWN_KEY`. */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const { frozen } = this;
    for (let i = 0; i < frozen.length; i++) {
      const lengthBytes = frozen[i]!.readData(low, high, target, offset);
      if (lengthBytes !== UNKNOWN_KEY) return lengthBytes;
    }
    const lengthBytes = this.base.readData(low, high, target, offset);
    return lengthBytes === UNKNOWN_KEY ? NO_RECORD : lengthBytes;
  }

  /** Cursors over all layers, newest first. */
  cursors(seek: Seek): Cursor[] {
    const cursors = this.frozen.flatMap((layer) => layer.cursors(seek));
    return [...cursors, new BaseCursor(this.base, seek)];
  }
}

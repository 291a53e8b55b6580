import { placeOf } from '../volumes/handle.ts';
import { bodyOffset, isRecordSound } from '../volumes/record.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { ByteName } from './byte-name.ts';
import { decodeLeaf } from './leaf-block.ts';
import { NO_BLOCK, type Leaf } from './leaf-directory.ts';

/** Reads names of leaves from volumes. Caches those read last. */
export class LeafReader {
  readonly #volumes: VolumeSet;
  readonly #most: number;
  readonly #cache = new Map<bigint, readonly ByteName[]>();
  reads = 0;
  hits = 0;

  constructor(volumes: VolumeSet, most: number) {
    this.#volumes = volumes;
    this.#most = most;
  }

  get cached(): number {
    return this.#cache.size;
  }

  /** @throws DamagedObjectError */
  async names(leaf: Pick<Leaf, 'id' | 'handle' | 'lengthBytes'>): Promise<readonly ByteName[]> {
    const { handle } = leaf;
    if (handle === NO_BLOCK) return [];
    const kept = this.#cache.get(handle);
    if (kept !== undefined) {
      this.hits++;
      this.#cache.delete(handle);
      this.#cache.set(handle, kept);
      return kept;
    }
    this.reads++;
    const names = await this.#read(leaf.id, handle, leaf.lengthBytes);
    this.keep(handle, names);
    return names;
  }

  keep(handle: bigint, names: readonly ByteName[]): void {
    this.#cache.set(handle, names);
    if (this.#cache.size <= this.#most) return;
    const [oldest] = this.#cache.keys();
    this.#cache.delete(oldest!);
  }

  async #read(id: number, handle: bigint, lengthBytes: number): Promise<readonly ByteName[]> {
    const { volume: number, offset } = placeOf(handle);
    const volume = this.#volumes.existing(number, offset);
    const bytes = Buffer.allocUnsafe(lengthBytes);
    const pin = volume.pin();
    try {
      await this.#volumes.read(volume, bytes, offset);
    } finally {
      pin.release();
    }
    const header = this.#volumes.sealOf(number).read(bytes, 0, offset);
    const isLeaf = header?.kind === 'leaf' && header.key === BigInt(id);
    if (header === undefined || !isLeaf || !isRecordSound(header, bytes)) {
      throw this.#volumes.damaged(volume, offset, 'the names of a leaf are damaged');
    }
    const from = bodyOffset(header);
    return decodeLeaf(bytes.subarray(from, from + header.bodyBytes));
  }
}

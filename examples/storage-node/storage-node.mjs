// @ts-check
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MetadataStore } from 'lodestore';
import { Metrics } from './metrics.mjs';
import { ObjectIndex } from './object-index.mjs';
import { ObjectStore } from './object-store.mjs';
import { VolumeSet } from './volume-set.mjs';

/** @typedef {Awaited<ReturnType<StorageNode['stats']>>} NodeStats */

/** A directory with objects, opened: `metadata/` is the metadata store's, `volumes/` holds the bytes. */
export class StorageNode {
  metrics = new Metrics();
  objects;
  metadata;
  #volumes;

  /**
   * @param {MetadataStore} metadata
   * @param {VolumeSet} volumes
   * @param {(name: string) => bigint} [hash]
   */
  constructor(metadata, volumes, hash) {
    this.metadata = metadata;
    this.#volumes = volumes;
    this.objects = new ObjectStore(new ObjectIndex(metadata, hash), volumes);
  }

  /**
   * @param {string} directory made if there is none
   * @param {{ volumeBytes: number }} options
   * @throws what `MetadataStore.open` throws
   */
  static async open(directory, { volumeBytes }) {
    await mkdir(directory, { recursive: true });
    // First, because its lock keeps every other process out of the volumes as well.
    const metadata = await MetadataStore.open(join(directory, 'metadata'));
    try {
      const volumes = await VolumeSet.open(join(directory, 'volumes'), { volumeBytes });
      return new StorageNode(metadata, volumes);
    } catch (error) {
      await metadata.close();
      throw error;
    }
  }

  async stats() {
    return {
      objects: this.objects.size,
      requests: this.metrics.stats(),
      volumes: await this.#volumes.stats(),
      metadata: this.metadata.stats(),
      recovery: this.metadata.recovery,
    };
  }

  /** No request may be under way. */
  async close() {
    await this.metadata.close();
    await this.#volumes.close();
  }
}

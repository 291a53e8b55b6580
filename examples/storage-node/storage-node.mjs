// @ts-check
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MetadataStore } from 'lodestore';
import { makeExposition } from './exposition.mjs';
import { Metrics } from './metrics.mjs';
import { ObjectIndex } from './object-index.mjs';
import { ObjectStore } from './object-store.mjs';
import { VolumeSet } from './volume-set.mjs';

/** @import { ExposedParts, Exposition } from './exposition.mjs' */
/** @typedef {Awaited<ReturnType<StorageNode['stats']>>} NodeStats */

/**
 * A directory with objects, opened: `metadata/` is the metadata store's, `volumes/` holds the
 * bytes.
 */
export class StorageNode {
  metadata;
  objects;
  metrics;
  exposition;
  #volumes;

  /**
   * @param {ExposedParts & { objects: ObjectStore, volumes: VolumeSet, exposition: Exposition }}
   * parts
   */
  constructor({ metadata, objects, volumes, metrics, exposition }) {
    this.metadata = metadata;
    this.objects = objects;
    this.metrics = metrics;
    this.exposition = exposition;
    this.#volumes = volumes;
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
      const objects = new ObjectStore(new ObjectIndex(metadata), volumes);
      const parts = { metadata, objects, volumes, metrics: new Metrics() };
      return new StorageNode({ ...parts, exposition: await makeExposition(parts) });
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

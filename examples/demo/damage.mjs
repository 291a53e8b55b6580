// @ts-check
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { MetadataStore } from 'lodestore';
import { decodeRecord } from '../storage-node/object-record.mjs';
import { volumeName } from '../storage-node/volume-set.mjs';

/**
 * Flips one bit of one stored object behind the node's back.
 * @param {string} directory the node's; the node must not be running
 * @returns {Promise<string>} what was done
 */
export async function damageOneObject(directory) {
  const metadata = await MetadataStore.open(join(directory, 'metadata'), { readOnly: true });
  try {
    for (const record of metadata.values()) {
      const { name, extents } = decodeRecord(record);
      const extent = extents[0];
      if (extent === undefined || extent.lengthBytes === 0) continue;
      const path = join(directory, 'volumes', volumeName(extent.volume));
      const offset = extent.offset + Math.floor(extent.lengthBytes / 2);
      await flipBit(path, offset);
      return `flipped a bit at offset ${offset} of ${volumeName(extent.volume)}, inside ${name}`;
    }
  } finally {
    await metadata.close();
  }
  throw new Error('there is no object with a byte to damage');
}

/**
 * @param {string} path
 * @param {number} offset
 */
async function flipBit(path, offset) {
  const file = await open(path, 'r+');
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
    await file.write(Buffer.of(buffer.readUInt8(0) ^ 1), 0, 1, offset);
  } finally {
    await file.close();
  }
}

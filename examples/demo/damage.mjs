// @ts-check
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** @import { Acknowledged } from './storing.mjs' */

/** Long enough to be unique by chance, and short enough to be contiguous in a volume. */
const MIN_SOUGHT_BYTES = 64;
const MAX_SOUGHT_BYTES = 60_000;

/**
 * Flips one bit of one stored object. The object is found by its bytes, so
 * this knows nothing of the format.
 * @param {string} directory the node's; the node must not be running
 * @param {Iterable<Acknowledged>} objects
 * @returns {Promise<string>} a description
 */
export async function damageOneObject(directory, objects) {
  const volumes = await volumesOf(directory);
  for (const { source } of objects) {
    const { lengthBytes } = source;
    if (lengthBytes < MIN_SOUGHT_BYTES || lengthBytes > MAX_SOUGHT_BYTES) continue;
    const bytes = await readFile(source.path);
    const places = [...volumes].flatMap(([path, content]) => placesOf(content, bytes, path));
    const [only, another] = places;
    // With two matches, it is unknown which one is read.
    if (only === undefined || another !== undefined) continue;
    await flipBit(only.path, only.at + Math.floor(lengthBytes / 2));
    return `flipped a bit inside ${source.name}`;
  }
  throw new Error('there is no object with unique bytes');
}

/**
 * @param {string} directory
 * @returns {Promise<Map<string, Buffer>>}
 */
async function volumesOf(directory) {
  const folder = join(directory, 'volumes');
  const volumes = new Map();
  for (const name of await readdir(folder)) {
    volumes.set(join(folder, name), await readFile(join(folder, name)));
  }
  return volumes;
}

/**
 * @param {Buffer} content
 * @param {Buffer} bytes
 * @param {string} path
 */
function placesOf(content, bytes, path) {
  const places = [];
  for (let at = content.indexOf(bytes); at >= 0; at = content.indexOf(bytes, at + 1)) {
    places.push({ path, at });
  }
  return places;
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

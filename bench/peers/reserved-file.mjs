import { closeSync, constants, fdatasync, fsyncSync, openSync, write, writeSync } from 'node:fs';
import { join } from 'node:path';
import { encodeRows } from './peer.mjs';

const RESERVED_BYTES = 64 * 1024 * 1024;
const ZEROS = new Uint8Array(1024 * 1024);

/** @type {(path: string) => void} */
function reserve(path) {
  const descriptor = openSync(path, 'w');
  for (let bytes = 0; bytes < RESERVED_BYTES; bytes += ZEROS.length) writeSync(descriptor, ZEROS);
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/**
 * A file of zeros that batches overwrite one after the other, from the start again when it is full:
 * a sync has no metadata to write. One promise around the callbacks, since that is the cheapest way
 * through `node:fs`.
 * @param {string} directory
 * @param {'fdatasync' | 'by-system'} sync Synced after each write, or by O_DSYNC.
 * @returns {Promise<import('./peer.mjs').Store>}
 */
export async function openReservedFile(directory, sync) {
  const path = join(directory, 'file');
  reserve(path);
  const flags = constants.O_RDWR | (sync === 'by-system' ? constants.O_DSYNC : 0);
  const descriptor = openSync(path, flags);
  let position = 0;
  return {
    put(batch) {
      const bytes = encodeRows(batch);
      if (position + bytes.length > RESERVED_BYTES) position = 0;
      const at = position;
      position += bytes.length;
      return new Promise((resolve, reject) => {
        const done = (error) => (error ? reject(error) : resolve());
        write(descriptor, bytes, 0, bytes.length, at, (error) => {
          if (error || sync === 'by-system') done(error);
          else fdatasync(descriptor, done);
        });
      });
    },
    close: async () => closeSync(descriptor),
  };
}

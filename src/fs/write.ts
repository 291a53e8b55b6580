import { assert } from '../base/assert.ts';
import type { OpenFile } from './file-system.ts';

/** Writes all of `source` at `position`: a short write goes on where it ended. */
export async function writeFully(
  file: OpenFile,
  source: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < source.length) {
    const rest = done === 0 ? source : source.subarray(done);
    const count = await file.write(rest, position + done);
    assert(count > 0, 'a write without an error writes at least one byte');
    done += count;
  }
}

const ZERO_BLOCK: Uint8Array = new Uint8Array(1024 * 1024);

/** Writes zeros to [from, to). `pause` is awaited between blocks. */
export async function writeZeros(file: OpenFile, from: number, to: number): Promise<void> {
  for (let position = from; position < to; position += ZERO_BLOCK.length) {
    const lengthBytes = Math.min(ZERO_BLOCK.length, to - position);
    await writeFully(file, ZERO_BLOCK.subarray(0, lengthBytes), position);
  }
}

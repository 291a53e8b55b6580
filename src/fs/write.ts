import { assert } from '../base/assert.ts';
import { begin, waited, type Flow } from '../base/flow.ts';
import type { EitherFile, OpenFile } from './file-system.ts';

/** Writes all of `source` at `position`; continues after short writes. */
export async function writeFully(
  file: OpenFile,
  source: Uint8Array,
  position: number,
): Promise<void> {
  return begin(writing(file, source, position));
}

/** Writes all `sources`, one after another, at `position`; continues after short writes. */
export async function writevFully(
  file: OpenFile,
  sources: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = sources.filter(({ length }) => length > 0);
  for (let at = position; rest.length > 0;) {
    const count = await file.writev(rest, at);
    assert(count > 0, 'a write without an error writes at least one byte');
    at += count;
    rest = behind(rest, count);
  }
}

/** `sources` without their first `lengthBytes` bytes. */
function behind(sources: readonly Uint8Array[], lengthBytes: number): Uint8Array[] {
  let done = lengthBytes;
  const rest: Uint8Array[] = [];
  for (const source of sources) {
    const skipped = Math.min(done, source.length);
    done -= skipped;
    if (skipped < source.length) rest.push(source.subarray(skipped));
  }
  return rest;
}

/** As `writeFully`, for a file with async or blocking calls. */
export function* writing(file: EitherFile, source: Uint8Array, position: number): Flow<void> {
  let done = 0;
  while (done < source.length) {
    const rest = done === 0 ? source : source.subarray(done);
    const count = yield* waited(file.write(rest, position + done));
    assert(count > 0, 'a write without an error writes at least one byte');
    done += count;
  }
}

/**
 * The zeros of one write. A file system locks a file during a write; ext4 takes 2.5 ms for a new
 * MiB.
 */
const ZERO_BLOCK: Uint8Array = new Uint8Array(128 * 1024);

/**
 * Writes zeros to [from, to), in short writes, because a file system blocks other writes to the
 * file meanwhile.
 */
export async function writeZeros(file: OpenFile, from: number, to: number): Promise<void> {
  return begin(writingZeros(file, from, to));
}

/** As `writeZeros`, for a file with async or blocking calls. */
export function* writingZeros(file: EitherFile, from: number, to: number): Flow<void> {
  for (let position = from; position < to; position += ZERO_BLOCK.length) {
    const lengthBytes = Math.min(ZERO_BLOCK.length, to - position);
    yield* writing(file, ZERO_BLOCK.subarray(0, lengthBytes), position);
  }
}

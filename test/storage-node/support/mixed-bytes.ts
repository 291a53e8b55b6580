import { randomBytes } from 'node:crypto';

const RUN_BYTES = 70_000;

/** Random bytes and text by turns: in a compressed bucket, some blocks shrink and others do not. */
export function mixedBytes(count: number): Buffer {
  const bytes = randomBytes(count);
  for (let at = RUN_BYTES; at < count; at += 2 * RUN_BYTES) {
    bytes.fill('one line of a log that compresses well\n', at, Math.min(at + RUN_BYTES, count));
  }
  return bytes;
}

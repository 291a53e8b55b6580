import type { NodeParts } from '../objects/node-parts.ts';
import { bodyOffset } from '../volumes/record.ts';
import { GROUP_ALIGN_BYTES } from '../volumes/volume-header.ts';
import { walkWindows, WindowBuffers } from '../volumes/record-walk.ts';
import type { Volume } from '../volumes/volume.ts';
import type { Liveness } from './liveness.ts';

/**
 * Frees the bodies of dead records in place, for a disk without space for copies of live data.
 * Headers stay, so that the volume can be walked.
 */
export class HolePuncher {
  readonly #parts: NodeParts;
  readonly #liveness: Liveness;
  punchedBytes = 0;

  constructor(parts: NodeParts, liveness: Liveness) {
    this.#parts = parts;
    this.#liveness = liveness;
  }

  /** The sealed volume with the most dead bytes that were not punched yet. */
  next(): Volume | undefined {
    return [...this.#parts.volumes]
      .filter(({ state, pending, damage }) => {
        return state === 'sealed' && pending === 0 && damage === undefined;
      })
      .filter((volume) => volume.deadBytes - volume.punchedBytes > 16 * GROUP_ALIGN_BYTES)
      .sort(
        (one, other) => other.deadBytes - other.punchedBytes - one.deadBytes + one.punchedBytes,
      )[0];
  }

  async punch(volume: Volume): Promise<number> {
    const { volumes } = this.#parts;
    const holes: { readonly from: number; readonly lengthBytes: number }[] = [];
    const windows = walkWindows(volumes, volume, volume.endBytes, new WindowBuffers());
    for await (const { records } of windows) {
      for (const record of records) {
        const { header, offset } = record;
        if (this.#liveness.isLive(volume, record)) continue;
        const bodyAt = offset + bodyOffset(header);
        const from = Math.ceil(bodyAt / GROUP_ALIGN_BYTES) * GROUP_ALIGN_BYTES;
        const to = Math.floor((bodyAt + header.bodyBytes) / GROUP_ALIGN_BYTES) * GROUP_ALIGN_BYTES;
        if (to > from) holes.push({ from, lengthBytes: to - from });
      }
    }
    // An object opened before its deletion may still be read.
    await volume.idle();
    if (volume.state !== 'sealed') return 0;
    const file = await volumes.files.open(volumes.path(volume.number), 'r+');
    let bytes = 0;
    try {
      for (const { from, lengthBytes } of holes) {
        await file.trim(from, lengthBytes);
        bytes += lengthBytes;
      }
      await file.dataSync();
    } finally {
      await file.close();
    }
    volume.punchedBytes = Math.max(bytes, volume.deadBytes);
    this.punchedBytes += bytes;
    return bytes;
  }
}

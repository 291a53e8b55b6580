import type { NodeParts } from '../objects/node-parts.ts';
import { bodyOffset } from '../volumes/record.ts';
import { isMissing } from '../volumes/files.ts';
import { GROUP_ALIGN_BYTES, HEADER_BYTES } from '../volumes/volume-header.ts';
import { walkWindows, WindowBuffers } from '../volumes/record-walk.ts';
import type { Hole } from '../volumes/volume-set.ts';
import type { Span, Volume } from '../volumes/volume.ts';
import type { Liveness } from './liveness.ts';
import { noteDamage } from './note-damage.ts';
import { READERS_MS } from './pace.ts';

/**
 * Frees the bodies of dead records in place, for a disk without space for copies of live data.
 * Headers stay, so that the volume can be walked.
 */
export class HolePuncher {
  readonly #parts: NodeParts;
  readonly #liveness: Liveness;
  readonly #stop: AbortSignal;
  /** Dropped volumes, and their number of readers when they were last punched. */
  readonly #dropped = new WeakMap<Volume, number>();
  /** Since the node was opened. */
  freedBytes = 0;

  /** `stop`: the node is being closed, and readers are not waited for. */
  constructor(parts: NodeParts, liveness: Liveness, stop: AbortSignal) {
    this.#parts = parts;
    this.#liveness = liveness;
    this.#stop = stop;
  }

  /**
   * The sealed volume with the most dead bytes that were not punched yet, except for `passed`.
   * Those that somebody reads come last.
   */
  next(passed: ReadonlySet<Volume>): Volume | undefined {
    if (!this.#parts.volumes.canPunch) return undefined;
    return [...this.#parts.volumes]
      .filter((volume) => {
        const { state, pending, damage } = volume;
        const isQuiet = state === 'sealed' && pending === 0 && damage === undefined;
        return isQuiet && !passed.has(volume) && gainOf(volume) > 16 * GROUP_ALIGN_BYTES;
      })
      .sort((one, other) => {
        const isRead = Number(one.pins > 0) - Number(other.pins > 0);
        return isRead === 0 ? gainOf(other) - gainOf(one) : isRead;
      })[0];
  }

  /**
   * Frees all that no reader needs. Leaves the volume as it is if somebody needs all of it for
   * long, or if it cannot be read.
   */
  async punch(volume: Volume): Promise<void> {
    // Waits here, too: it need not be walked if the holes could not be made.
    if (!(await this.#isReleased(volume))) return;
    const { deadBytes } = volume;
    const holes = await this.#bodiesOfDead(volume);
    if (holes === undefined) return;
    if (!(await this.#isReleased(volume)) || volume.state !== 'sealed') return;
    // An object opened before its deletion may still be read. Nobody opens it now.
    const free = holesOutside(holes, volume.neededSpans() ?? []);
    await this.#punch(volume, free);
    volume.punchedDeadBytes = deadBytes - (lengthOf(holes) - lengthOf(free));
    // After a restart, the volume is not read again for holes that it has.
    await this.#parts.publisher.submit((turn) => turn.touch(volume)).catch(this.#parts.onError);
  }

  /** Frees a dropped volume that is still read, except for what its readers need. */
  async punchDropped(volume: Volume): Promise<void> {
    const { pins } = volume;
    const spans = volume.neededSpans();
    // It is removed without readers, and with the same ones nothing else can be freed.
    if (pins === 0 || spans === undefined || this.#dropped.get(volume) === pins) return;
    this.#dropped.set(volume, pins);
    await this.#punch(volume, holesBeside(spans, volume.writtenBytes));
  }

  async #punch(volume: Volume, holes: readonly Hole[]): Promise<void> {
    try {
      const bytes = await this.#parts.volumes.punch(volume, holes);
      const gained = Math.max(0, bytes - volume.freedBytes);
      this.freedBytes += gained;
      volume.freedBytes += gained;
    } catch (error) {
      // The last reader of a dropped volume has ended.
      if (!isMissing(error)) noteDamage(volume, error);
    }
  }

  #isReleased(volume: Volume): Promise<boolean> {
    return volume.released({ ofWhole: true, stop: this.#stop, mostMs: READERS_MS });
  }

  /** Undefined if a part of the volume cannot be read. */
  async #bodiesOfDead(volume: Volume): Promise<Hole[] | undefined> {
    const { volumes } = this.#parts;
    const holes: Hole[] = [];
    const windows = walkWindows(volumes, volume, volume.endBytes, new WindowBuffers());
    try {
      for await (const { records } of windows) {
        for (const record of records) {
          const { header, offset } = record;
          if (this.#liveness.isLive(volume, record)) continue;
          const bodyAt = offset + bodyOffset(header);
          const from = Math.ceil(bodyAt / GROUP_ALIGN_BYTES) * GROUP_ALIGN_BYTES;
          const to =
            Math.floor((bodyAt + header.bodyBytes) / GROUP_ALIGN_BYTES) * GROUP_ALIGN_BYTES;
          if (to > from) holes.push({ from, lengthBytes: to - from });
        }
      }
    } catch (error) {
      noteDamage(volume, error);
      return undefined;
    }
    return holes;
  }
}

/** The blocks of `holes` that contain no byte of `spans`. */
function holesOutside(holes: readonly Hole[], spans: readonly Span[]): Hole[] {
  return holes.flatMap(({ from, lengthBytes }) => {
    const to = from + lengthBytes;
    const inside = spans.filter((span) => span.from < to && span.to > from);
    return inside.length === 0 ? [{ from, lengthBytes }] : holesBeside(inside, to, from);
  });
}

function lengthOf(holes: readonly Hole[]): number {
  return holes.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
}

/** Whole blocks of a file that contain no byte of `spans`. */
function holesBeside(
  spans: readonly Span[],
  endBytes: number,
  startBytes: number = HEADER_BYTES,
): Hole[] {
  const holes: Hole[] = [];
  let from = startBytes;
  const end = { from: endBytes, to: endBytes };
  for (const span of [...spans].sort((one, other) => one.from - other.from).concat(end)) {
    const to = Math.floor(span.from / GROUP_ALIGN_BYTES) * GROUP_ALIGN_BYTES;
    if (to > from) holes.push({ from, lengthBytes: to - from });
    from = Math.max(from, Math.ceil(span.to / GROUP_ALIGN_BYTES) * GROUP_ALIGN_BYTES);
  }
  return holes;
}

/** Dead bytes that were not punched yet. */
function gainOf({ deadBytes, punchedDeadBytes }: Volume): number {
  return deadBytes - punchedDeadBytes;
}

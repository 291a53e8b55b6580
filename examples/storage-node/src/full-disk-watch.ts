import { textOfBytes } from './byte-text.ts';
import { NoSpaceError } from './node-errors.ts';
import type { SpaceGauge, SpaceWatch } from './objects/space-gauge.ts';

export interface FullDiskEvents {
  readonly onNotice: (text: string) => void;
  readonly onError: (error: Error) => void;
}

/** There is space again when this share of the reserve is free above it. */
const RESERVE_SHARE = 1 / 8;
/** A disk without room for a body of this size counts as full, although smaller ones may fit. */
const BODY_BYTES = 2 ** 20;
/** A disk without room for a large body is full for smaller ones later: that is told again. */
const MUCH_SMALLER = 8;

/** By the space at the last check, and what was written since then. */
export function isFull(space: Pick<SpaceGauge, 'hasRoom'>): boolean {
  return !space.hasRoom(BODY_BYTES);
}

/**
 * Tells once that the disk is full, and once that there is space again. Background work fails again
 * and again while the disk is full: these errors are not reported one by one.
 */
export class FullDiskWatch implements SpaceWatch {
  readonly #events: FullDiskEvents;
  /** The fewest bytes that were refused since the disk is full; undefined: it is not full. */
  #refusedBytes: number | undefined;
  /** The size of the body with which it was told. */
  #toldBytes = Infinity;
  #isLooking = false;

  constructor(events: FullDiskEvents) {
    this.#events = events;
  }

  refused(space: SpaceGauge, bytes: number): void {
    const isTold = bytes >= this.#toldBytes / MUCH_SMALLER;
    this.#refusedBytes = Math.min(bytes, this.#refusedBytes ?? Infinity);
    if (isTold) return;
    this.#toldBytes = bytes;
    const needed = bytes > 0 ? `, ${textOfBytes(bytes)} needed` : '';
    this.#events.onNotice(
      `the disk is full: ${textOfSpace(space)}${needed}. PUT is refused (507 InsufficientStorage) ` +
        'until objects are deleted, incomplete uploads are aborted, or other files are removed',
    );
  }

  looked(space: SpaceGauge): void {
    if (this.#refusedBytes === undefined) return;
    if (!space.hasRoom(this.#refusedBytes + RESERVE_SHARE * space.reserveBytes)) return;
    this.#refusedBytes = undefined;
    this.#toldBytes = Infinity;
    this.#events.onNotice(`there is space again: ${textOfSpace(space)}. PUT works again`);
  }

  /** Background work failed. */
  failed(space: SpaceGauge, cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    if (!(error instanceof NoSpaceError)) this.#events.onError(error);
    else if (this.#refusedBytes === undefined && !this.#isLooking) void this.#judge(space, error);
  }

  /** Reports a lack of space that the free space of the disk does not show, such as a quota. */
  async #judge(space: SpaceGauge, error: NoSpaceError): Promise<void> {
    this.#isLooking = true;
    try {
      await space.look();
      if (space.hasRoom(error.neededBytes)) this.#events.onError(error);
      else this.refused(space, error.neededBytes);
    } catch {
      this.#events.onError(error);
    } finally {
      this.#isLooking = false;
    }
  }
}

function textOfSpace({ roomBytes, reserveBytes }: SpaceGauge): string {
  return `${textOfBytes(Math.max(0, roomBytes))} free, ${textOfBytes(reserveBytes)} reserved`;
}

import type { NodeOptions } from '../../../examples/storage-node/src/node-options.ts';

/** From the child: what it started, and what was acknowledged. */
export interface Report {
  readonly type: 'started' | 'ready' | 'begin' | 'done' | 'refused' | 'compacted';
  readonly name?: string;
  /** Hash of the body; absent for a delete. */
  readonly hash?: string;
  readonly code?: string;
  readonly compacted?: number;
}

/** The behaviour of the clients of a round. */
export interface Mix {
  /** Share of steps that delete. */
  readonly deletes: number;
  /** Share of bodies that are long. */
  readonly large: number;
  /** Pause between two steps of a client. */
  readonly pauseMs: number;
}

export const SOAK_OPTIONS: NodeOptions = {
  volumeBytes: 8 * 2 ** 20,
  indexVolumeBytes: 2 ** 20,
  extentBytes: 256 * 1024,
  reserveBytes: 4 * 2 ** 20,
  reserveFileBytes: 2 * 2 ** 20,
  compactDeadRatio: 0.3,
};

export interface SoakCounts {
  rounds: number;
  acknowledged: number;
  refused: number;
  /** Those refused for lack of space. */
  full: number;
  /** Those that are deletes. */
  deletesRefused: number;
  kills: number;
  /** Checks of a node that was opened while the disk had no free byte. */
  fullOpens: number;
  compacted: number;
  checked: number;
  flips: number;
  /** Reads refused because of a flipped byte. */
  refusedReads: number;
  /** Damaged objects that were stored again; for the others, the byte was flipped back. */
  restored: number;
  /** The longest opening of a node, from the call on. */
  longestOpenMs: number;
}

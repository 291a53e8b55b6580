import type { NodeOptions } from '../../../examples/storage-node/src/node-options.ts';

/** From the child: what was begun, and what was acknowledged. */
export interface Report {
  readonly type: 'begin' | 'done' | 'refused' | 'ready' | 'compacted';
  readonly name?: string;
  /** Of the body; absent: it is deleted. */
  readonly hash?: string;
  readonly code?: string;
  readonly compacted?: number;
}

/** What the clients of a round do. */
export interface Mix {
  /** Share of steps that delete. */
  readonly deletes: number;
  /** Share of bodies that are long. */
  readonly large: number;
  /** Between two steps of a client. */
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
  /** Of those, for want of space. */
  full: number;
  /** Of those, deletes. */
  deletesRefused: number;
  kills: number;
  /** Checks of a node that was opened while no byte of the disk was free. */
  fullOpens: number;
  compacted: number;
  checked: number;
  flips: number;
  /** Reads that were refused because of a flipped byte. */
  refusedReads: number;
  /** Damaged objects that were stored again; for the rest the byte was turned back. */
  restored: number;
}

import type { FileHeader } from '../format/file-header.ts';
import type { FrameHeader } from '../format/frame.ts';
import type { GroupRows } from '../format/group-rows.ts';

/**
 * The frame headers of this log that stand behind broken bytes. A torn write of the last group
 * leaves none, or the seal that was written together with it, or groups that say themselves that
 * what is broken was not known to be synced; anything else proves that it had been.
 */
export type LaterFrames =
  | { readonly kind: 'none' }
  /** Only the seal that rode with the broken group. */
  | { readonly kind: 'riding-seal'; readonly offset: number }
  /**
   * Only groups that were written before what is broken was synced. `lastSequence`: of the last of
   * them.
   */
  | { readonly kind: 'unsynced'; readonly offset: number; readonly lastSequence: bigint }
  | { readonly kind: 'frames'; readonly offset: number };

/** How a log ends, as its bytes say. What that means is recovery's to decide. */
export type LogEnding =
  /** A seal, and no frame behind it. `rides`: it was written together with the group before it. */
  | { readonly kind: 'sealed'; readonly rides: boolean }
  /** Zeros, or the end of the file, where the next frame would begin. */
  | { readonly kind: 'end' }
  /**
   * Something that is no frame stands at `offset`; `later` says which frames of this log stand
   * behind it.
   */
  | {
      readonly kind: 'broken';
      readonly offset: number;
      readonly reason: string;
      readonly later: LaterFrames;
    }
  /** A frame whose checksums hold stands where it cannot belong: no torn write leaves this. */
  | { readonly kind: 'corrupt'; readonly offset: number; readonly reason: string }
  | { readonly kind: 'unsupported'; readonly version: number };

/** A place between two frames of a log, and what stands before it. */
export interface LogPosition {
  /** Where the next frame would begin. */
  readonly offset: number;
  /**
   * Header checksum of the last frame, or the file header's: what a next frame would be chained to.
   */
  readonly chain: number;
  /** Sequence of the last batch, or the predecessor's last when there is none. */
  readonly lastSequence: bigint;
  /**
   * Where the bytes begin that no frame behind them proves synced: a group, or the file header that
   * went out with the first one. Undefined without a group.
   */
  readonly unprovenFrom: number | undefined;
  readonly frameCount: number;
  readonly batchCount: number;
  readonly recordCount: number;
}

/**
 * Groups that stand one behind the other, read from the midst of a log. Each is sound in itself;
 * that they belong where they stand is known once what is before them has been read.
 */
export interface LogPiece {
  /** What the first group says of what stands before it. It counts nothing. */
  readonly from: LogPosition;
  /** Behind the last group. It counts those of the piece. */
  readonly to: LogPosition;
  /** Where the bytes end that the first group proves synced. */
  readonly provenEnd: number;
}

/**
 * What one pass over a log found. Everything counts whole frames up to `validBytes`, the seal
 * included.
 */
export interface LogScan {
  readonly number: number;
  readonly fileBytes: number;
  /** `empty`: no byte but zeros. */
  readonly format: 'lodestore' | 'ancestor' | 'empty';
  readonly header: FileHeader | undefined;
  readonly frameCount: number;
  readonly batchCount: number;
  readonly recordCount: number;
  /** Sequence of the last batch, or the predecessor's last when there is none. */
  readonly lastSequence: bigint;
  /**
   * Header checksum of the last frame, or the file header's: what a next frame would be chained to.
   */
  readonly chain: number;
  /** Where a next frame would begin. */
  readonly validBytes: number;
  /**
   * Where the bytes begin that no frame behind them proves synced: a group, or the file header that
   * went out with the first one. Undefined without a group.
   */
  readonly unprovenFrom: number | undefined;
  readonly ending: LogEnding;
  /**
   * How many of the pieces that were given, the first ones, are part of the log as it was found.
   */
  readonly pieces: number;
}

export interface LogScanOptions {
  readonly number: number;
  /** The store's id if it is known: lets frames be found when the file header is torn. */
  readonly storeId: Uint8Array | undefined;
  /** Called for every group in order. The rows are valid during the call only. */
  readonly onGroup?: (group: GroupRows, header: FrameHeader, offset: number) => void;
  /** Called as the scan gets on, with the bytes read so far. */
  readonly onProgress?: (bytesRead: number) => void;
  readonly signal?: AbortSignal | undefined;
  /** Called between two frames: the scan goes on when what it returns has resolved. */
  readonly pause?: (() => Promise<void> | undefined) | undefined;
  /** As of a `FileWindow`; only where a piece is scanned. */
  readonly mayBlock?: boolean | undefined;
  /**
   * What has been read of the log already, in order; undefined where no group was found. Not read
   * again if it fits.
   */
  readonly pieces?: readonly (LogPiece | undefined)[] | undefined;
}

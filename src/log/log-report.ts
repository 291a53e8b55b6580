import type { FileHeader } from '../format/file-header.ts';
import type { FrameHeader } from '../format/frame.ts';
import type { GroupRows } from '../format/group-rows.ts';

/**
 * The frame headers of this log after broken bytes. After a torn write of the last group there are
 * none, or only the seal that was written together with it, or only groups which record that the
 * broken bytes were not known to be synced. Any other frame proves that they were synced.
 */
export type LaterFrames =
  | { readonly kind: 'none' }
  /** Only the seal that was written together with the broken group. */
  | { readonly kind: 'piggybacked-seal'; readonly offset: number }
  /**
   * Only groups that were written before the broken bytes were synced. `lastSequence`: that of the
   * last such group.
   */
  | { readonly kind: 'unsynced'; readonly offset: number; readonly lastSequence: bigint }
  | { readonly kind: 'frames'; readonly offset: number };

/** How a log ends, by its bytes. Recovery decides what that means. */
export type LogEnding =
  /**
   * A seal without a following frame. `isPiggybacked`: it was written together with the group
   * before it.
   */
  | { readonly kind: 'sealed'; readonly isPiggybacked: boolean }
  /** Zeros, or the end of the file, at the position of the next frame. */
  | { readonly kind: 'end' }
  /** Bytes at `offset` that are not a frame. `later`: the frames of this log after them. */
  | {
      readonly kind: 'broken';
      readonly offset: number;
      readonly reason: string;
      readonly later: LaterFrames;
    }
  /** A frame with valid checksums that is invalid at its position. No torn write leaves this. */
  | { readonly kind: 'corrupt'; readonly offset: number; readonly reason: string }
  | { readonly kind: 'unsupported'; readonly version: number };

/** A position between two frames of a log, with totals of what precedes it. */
export interface LogPosition {
  /** Offset of the next frame. */
  readonly offset: number;
  /**
   * Header checksum of the last frame, or of the file header: the chain value of the next frame.
   */
  readonly chain: number;
  /** Sequence number of the last batch, or the predecessor's last one if there is none. */
  readonly lastSequence: bigint;
  /**
   * Start of the bytes that no later frame proves synced: the last group, or the file header that
   * was written with the first one. Undefined without a group.
   */
  readonly unprovenFrom: number | undefined;
  readonly frameCount: number;
  readonly batchCount: number;
  readonly recordCount: number;
}

/**
 * Consecutive groups, read from the middle of a log. Each is valid by itself. Whether they belong
 * at this position is known only when the bytes before them have been read.
 */
export interface LogPiece {
  /** The position before the first group, according to that group. Its counts are 0. */
  readonly from: LogPosition;
  /** The position after the last group. It counts the groups of the piece. */
  readonly to: LogPosition;
  /** End of the bytes that the first group proves synced. */
  readonly provenEnd: number;
}

/**
 * The result of one scan of a log. All counts are of valid frames up to `validBytes`, the seal
 * included.
 */
export interface LogScan {
  readonly number: number;
  readonly fileBytes: number;
  /** `empty`: only zeros. */
  readonly format: 'lodestore' | 'ancestor' | 'empty';
  readonly header: FileHeader | undefined;
  readonly frameCount: number;
  readonly batchCount: number;
  readonly recordCount: number;
  /** Sequence number of the last batch, or the predecessor's last one if there is none. */
  readonly lastSequence: bigint;
  /**
   * Header checksum of the last frame, or of the file header: the chain value of the next frame.
   */
  readonly chain: number;
  /** Offset of the next frame. */
  readonly validBytes: number;
  /**
   * Start of the bytes that no later frame proves synced: the last group, or the file header that
   * was written with the first one. Undefined without a group.
   */
  readonly unprovenFrom: number | undefined;
  readonly ending: LogEnding;
  /** How many of the given pieces, counted from the first, are part of the log. */
  readonly pieces: number;
}

export interface LogScanOptions {
  readonly number: number;
  /** The store's id, if known. It allows finding frames when the file header is torn. */
  readonly storeId: Uint8Array | undefined;
  /** Called for every group, in order. The rows are valid only during the call. */
  readonly onGroup?: (group: GroupRows, header: FrameHeader, offset: number) => void;
  /** Called with the number of bytes read so far. */
  readonly onProgress?: (bytesRead: number) => void;
  /** Where the file ends for this scan, if it is longer. */
  readonly limitBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called between two frames. The scan continues when the returned promise has resolved. */
  readonly pause?: (() => Promise<void> | undefined) | undefined;
  /** As for a `FileWindow`. Only for scans of pieces. */
  readonly mayBlock?: boolean | undefined;
  /**
   * Pieces of the log that were read before, in order; undefined for parts without a group. Pieces
   * that fit are not read again.
   */
  readonly pieces?: readonly (LogPiece | undefined)[] | undefined;
}

import type { FileHeader } from '../format/file-header.ts';
import type { FrameHeader } from '../format/frame.ts';
import type { GroupRows } from '../format/rows.ts';

/**
 * The frame headers of this log that stand behind broken bytes. A torn write of the last group leaves
 * none, or the seal that was written together with it; anything else proves that what is broken had
 * been synced before.
 */
export type LaterFrames =
  | { readonly kind: 'none' }
  /** Only the seal that rode with the broken group. */
  | { readonly kind: 'riding-seal'; readonly offset: number }
  | { readonly kind: 'frames'; readonly offset: number };

/** How a log ends, as its bytes say. What that means is recovery's to decide. */
export type LogEnding =
  /** A seal, and no frame behind it. `rides`: it was written together with the group before it. */
  | { readonly kind: 'sealed'; readonly rides: boolean }
  /** Zeros, or the end of the file, where the next frame would begin. */
  | { readonly kind: 'end' }
  /** Something that is no frame stands at `offset`; `later` says which frames of this log stand behind it. */
  | {
      readonly kind: 'broken';
      readonly offset: number;
      readonly reason: string;
      readonly later: LaterFrames;
    }
  /** A frame whose checksums hold stands where it cannot belong: no torn write leaves this. */
  | { readonly kind: 'corrupt'; readonly offset: number; readonly reason: string }
  | { readonly kind: 'unsupported'; readonly version: number };

export interface FrameSpan {
  readonly offset: number;
  readonly lengthBytes: number;
}

/** What one pass over a log found. Everything counts whole frames up to `validBytes`, the seal included. */
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
  /** Header checksum of the last frame, or the file header's: what a next frame would be chained to. */
  readonly chain: number;
  /** Where a next frame would begin. */
  readonly validBytes: number;
  /** The last group, if there is one. */
  readonly lastGroup: FrameSpan | undefined;
  readonly ending: LogEnding;
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
}

import { assert } from './assert.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes of a row before its data: key u64, value u64, data length u32. */
export const ROW_HEADER_BYTES = 20;

/** Largest batch, as encoded rows. Also bounds the data of one record. */
export const MAX_BATCH_BYTES: number = 32 * MIB;

/**
 * A group takes no further batch at this many bytes of rows. A larger batch forms its own group.
 */
export const GROUP_TARGET_BYTES: number = 4 * MIB;

/** Largest decoded payload of a frame of lodestore's format. */
export const MAX_FRAME_DECODED_BYTES: number = 64 * MIB;

/** Largest stored payload of a frame. A payload is stored raw if zstd does not shrink it. */
export const MAX_FRAME_PAYLOAD_BYTES: number = MAX_FRAME_DECODED_BYTES;

/** Largest number of batches in one group. */
export const MAX_GROUP_BATCHES = 65_536;

/** A snapshot chunk is full at this many records or bytes of rows, whichever comes first. */
export const CHUNK_TARGET_RECORDS = 8_192;
export const CHUNK_TARGET_BYTES: number = 256 * KIB;

/** A log is rotated at this length. */
export const DEFAULT_ROTATE_BYTES: number = 64 * MIB;

/**
 * A merge is due when the logs are larger than this and than the snapshot. Starting a merge thread
 * costs about 50 ms of a core: with 64 KiB, the merges of a small store cost a third of its commits
 * per second. Replaying 8 MiB takes less time.
 */
export const DEFAULT_MERGE_BYTES: number = 8 * MIB;

export const DEFAULT_QUEUE_BYTES: number = 64 * MIB;
export const DEFAULT_QUEUE_BATCHES = 65_536;

/** Bytes of rows in one in-memory delta. Positions are 32-bit. */
export const MAX_DELTA_BYTES: number = 3 * 1024 * MIB;

/** Bytes per slice of encoding on the event loop: about 1 ms of zstd. */
export const ENCODE_SLICE_BYTES: number = 256 * KIB;

/** Largest zstd window that the decoders accept, as a power of two. */
export const MAX_WINDOW_LOG = 27;

/** Longest time of any option. A longer one overflows Node's timers, which then fire at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** Highest file number and epoch. The next one is still a safe integer. */
export const MAX_FILE_NUMBER: number = 2 ** 52 - 1;

export const MAX_U64 = 0xffff_ffff_ffff_ffffn;

assert(MAX_BATCH_BYTES >= GROUP_TARGET_BYTES, 'a batch may fill a group');
assert(
  MAX_FRAME_DECODED_BYTES >= GROUP_TARGET_BYTES + MAX_BATCH_BYTES + 4 * MAX_GROUP_BATCHES,
  'a group and its batch table fit a frame',
);
assert(
  MAX_FRAME_DECODED_BYTES >= MAX_BATCH_BYTES + CHUNK_TARGET_BYTES + 32 * CHUNK_TARGET_RECORDS,
  'a chunk with one record of the largest size fits a frame',
);

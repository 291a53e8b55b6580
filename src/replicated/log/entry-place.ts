import { equalBytes } from '../../base/bytes.ts';
import { decodeEntry } from './entry.ts';
import { newerFormat, type LogPlace } from './log-chain.ts';
import { LogLostError } from './log-errors.ts';

/**
 * The place after an entry, as the entry tells it.
 * @throws LogLostError if it is no entry; StoreError `LODESTORE_UNSUPPORTED_FORMAT`
 */
export function placeOfEntry(position: bigint, bytes: Uint8Array): LogPlace {
  const entry = decodeEntry(bytes);
  if (typeof entry === 'string') throw new LogLostError({ position, reason: entry });
  if (entry.kind === 'newer') throw newerFormat(`entry ${position} has format ${entry.version}`);
  const { firstSequence, batchCount, epoch, checksum, pieceOffset, piece, payloadBytes } = entry;
  const isWhole = pieceOffset + piece.length === payloadBytes;
  const sequence = firstSequence - 1n + (isWhole ? BigInt(batchCount) : 0n);
  return { logId: entry.logId.slice(), position, sequence, epoch, checksum };
}

/**
 * True if the entry is the takeover of a repair from a store with this place and last batch. The
 * next takeover after the store's place names the last batch of the store only if it was appended
 * for the same batches. Then the log lacks none of them.
 */
export function isRepairFrom(place: LogPlace, lastSequence: bigint, bytes: Uint8Array): boolean {
  const entry = decodeEntry(bytes);
  if (typeof entry === 'string' || entry.kind !== 'takeover') return false;
  const isOurs = place.logId === undefined || equalBytes(place.logId, entry.logId);
  return isOurs && entry.epoch === place.epoch + 1n && entry.firstSequence === lastSequence + 1n;
}

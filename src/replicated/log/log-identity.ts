import { PositionExpiredError } from '../../base/errors.ts';
import { checksumOfEntry, decodeEntry } from './entry.ts';
import type { LogPlace } from './log-chain.ts';
import { LogLostError } from './log-errors.ts';
import type { SharedLog } from './shared-log.ts';

const PATIENCE_MS = 2_000;

/**
 * The id of a log, from its last entry. Undefined if it has none, or does not answer soon. Only a
 * hint: whoever follows the log compares each entry.
 */
export async function idOfLog(
  log: SharedLog,
  timer: (delayMs: number, ring: () => void) => () => void,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const reading = new AbortController();
  const cancel = timer(PATIENCE_MS, () => reading.abort());
  const ended = AbortSignal.any([signal, reading.signal]);
  try {
    const { first, last } = await log.bounds({ signal: ended });
    if (first > last) return undefined;
    for await (const { entry: bytes } of log.read(last, { signal: ended })) {
      const entry = decodeEntry(bytes);
      return typeof entry === 'string' || entry.kind === 'newer' ? undefined : entry.logId.slice();
    }
    return undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    cancel();
    reading.abort();
  }
}

/**
 * True if the log has its first entry, and so each later one. False if it was trimmed, or has none.
 * @throws LogUnavailableError
 */
export async function isWholeLog(log: SharedLog, signal: AbortSignal): Promise<boolean> {
  const { last } = await log.bounds({ signal });
  if (last === 0n) return false;
  const reading = new AbortController();
  const ended = AbortSignal.any([signal, reading.signal]);
  try {
    for await (const { position } of log.read(1n, { signal: ended })) return position === 1n;
    return false;
  } catch (error) {
    if (error instanceof PositionExpiredError) return false;
    throw error;
  } finally {
    reading.abort();
  }
}

/**
 * Checks that the log has the entry before the checkpoint's place, or has been trimmed past it.
 * @throws LogLostError, LogUnavailableError
 */
export async function requireInLog(
  log: SharedLog,
  place: LogPlace,
  signal: AbortSignal,
): Promise<void> {
  const { position, checksum } = place;
  const reading = new AbortController();
  const ended = AbortSignal.any([reading.signal, signal]);
  try {
    for await (const { entry } of log.read(position, { signal: ended })) {
      if (checksumOfEntry(entry) === checksum) return;
      throw new LogLostError({ position, reason: 'it has another entry than a checkpoint' });
    }
  } catch (error) {
    if (!(error instanceof PositionExpiredError)) throw error;
  } finally {
    reading.abort();
  }
}

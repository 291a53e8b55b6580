import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import type { CorruptionDetail } from '../../base/errors.ts';
import type { Claim } from '../../format/claim.ts';
import { logName } from '../../format/file-name.ts';
import { damageHint } from './advice.ts';
import type { LoadedLog } from './verdict.ts';

/** The extent of a log. */
interface FoundLog {
  readonly number: number;
  readonly scan: Pick<LoadedLog['scan'], 'validBytes' | 'lastSequence'>;
}

/** What was found in a directory, to be compared with a claim. */
export interface FoundState {
  readonly directory: string;
  readonly snapshot: { readonly number: number } | undefined;
  readonly storeId: Uint8Array;
  /** Non-empty logs that are newer than the snapshot, ascending. */
  readonly logs: readonly FoundLog[];
  /** Sequence number of the last batch found. */
  readonly lastSequence: bigint;
}

/** What a claim names and the directory lacks. */
export interface UnmetClaim {
  readonly path: string;
  /** The missing bytes of the file are [fromOffset, toOffset). */
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly reason: string;
  /** The missing batches. Undefined if none is missing. */
  readonly firstSequence: bigint | undefined;
  readonly lastSequence: bigint | undefined;
}

/**
 * Returns what is missing of what was synced according to the lock file. A claim of another store
 * comes from a copied lock file and is ignored, unless the directory holds no store at all.
 */
export function unmetClaim(found: FoundState, claim: Claim | undefined): UnmetClaim | undefined {
  const { directory, snapshot, logs } = found;
  if (claim === undefined || isForeign(found, claim)) return undefined;
  if (snapshot !== undefined && snapshot.number >= claim.number) return undefined;
  const log = logs.find(({ number }) => number === claim.number);
  const hasLog = log !== undefined && log.scan.validBytes >= claim.lengthBytes;
  if (hasLog && log.scan.lastSequence >= claim.lastSequence) return undefined;
  const name = logName(claim.number);
  const fromOffset = log?.scan.validBytes ?? 0;
  const missing = missingBatches(found.lastSequence, claim.lastSequence);
  const recorded = `lodestore.lock records that ${name} was synced up to offset ${claim.lengthBytes}, batch ${claim.lastSequence}`;
  if (holdsNothing(found)) {
    const reason = `all files of the store are missing, and with them ${missing.text}: ${recorded}`;
    return { path: directory, fromOffset: 0, toOffset: 0, reason, ...missing.range };
  }
  const what = log === undefined ? 'the log is missing or empty' : 'the end of the log is missing';
  const reason = `${what}, and with it ${missing.text}: ${recorded}`;
  const toOffset = Math.max(fromOffset, claim.lengthBytes);
  return { path: join(directory, name), fromOffset, toOffset, reason, ...missing.range };
}

/** Converts an unmet claim to damage. */
export function claimDamage(directory: string, unmet: UnmetClaim): CorruptionDetail {
  const { path, fromOffset, toOffset, reason, firstSequence, lastSequence } = unmet;
  return {
    path,
    offset: fromOffset,
    reason,
    firstSequence,
    lastSequence,
    affectedBytes: toOffset > fromOffset ? toOffset - fromOffset : undefined,
    hint: damageHint(directory),
  };
}

/** Whether there is neither a snapshot nor a non-empty log. */
export function holdsNothing({ snapshot, logs }: Pick<FoundState, 'snapshot' | 'logs'>): boolean {
  return snapshot === undefined && logs.length === 0;
}

function isForeign(found: FoundState, { storeId }: Claim): boolean {
  return !holdsNothing(found) && !equalBytes(storeId, found.storeId);
}

function missingBatches(
  found: bigint,
  claimed: bigint,
): { readonly text: string; readonly range: Pick<UnmetClaim, 'firstSequence' | 'lastSequence'> } {
  const count = claimed - found;
  if (count <= 0n) {
    return { text: 'no batch', range: { firstSequence: undefined, lastSequence: undefined } };
  }
  const range = { firstSequence: found + 1n, lastSequence: claimed };
  const text =
    count === 1n ? `1 batch, ${claimed}` : `${count} batches, ${found + 1n} to ${claimed}`;
  return { text, range };
}

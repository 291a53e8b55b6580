import { dirname } from 'node:path';
import { PositionExpiredError } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { LogTrail } from '../../inspection/log-trail.ts';
import type { LogGroup } from '../../log/log-reader.ts';
import { checksumOfEntry } from '../log/entry.ts';
import { isRepairFrom } from '../log/entry-place.ts';
import { LogChain, type LogPlace } from '../log/log-chain.ts';
import { LogLostError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import { Generations, isGeneration } from './generations.ts';
import { decodeShared, LocalGroups } from './local-groups.ts';
import { storePath } from './open-replica.ts';
import { readPosition, type ReplicaPosition } from './position-file.ts';
import { MACHINE_CLOCK } from './replica-clock.ts';

/** What a shared log has of the batches in the directory of a node. */
export type NodeStanding =
  /** The directory has no node. */
  | { readonly kind: 'empty' }
  /** The log has all of them. */
  | { readonly kind: 'follows'; readonly sequence: bigint }
  /** The entries after `position`, up to which the directory is known to have all, are trimmed. */
  | { readonly kind: 'trimmed'; readonly position: bigint; readonly first: bigint }
  /** The log ends before the last of them. */
  | { readonly kind: 'ahead'; readonly sequence: bigint; readonly last: bigint }
  /** The log has other entries. */
  | { readonly kind: 'differs'; readonly sequence: bigint; readonly reason: string };

export interface NodeExaminationOptions {
  readonly signal: AbortSignal;
  /** Milliseconds that entries of the directory may be missing at a lagging engine. */
  readonly patienceMs?: number;
}

/** A node's batches whose entries the log should have. */
interface Directory {
  readonly saved: ReplicaPosition;
  readonly groups: LocalGroups;
  readonly sequence: bigint;
}

/** The calls of a log that change nothing. */
export type UnchangedLog = Pick<SharedLog, 'bounds' | 'read'>;

const PATIENCE_MS = 5_000;

/**
 * Compares the directory of a node with a shared log, as an open does, but changes nothing. A
 * process may have the directory open.
 * @throws CorruptionError, LogUnavailableError, the errors of `LogTrail`
 */
export async function examineNode(
  fs: FileSystem,
  directory: string,
  log: UnchangedLog,
  { signal, patienceMs = PATIENCE_MS }: NodeExaminationOptions,
): Promise<NodeStanding> {
  const found = await readNode(fs, directory);
  if (found === undefined) return { kind: 'empty' };
  const { sequence, saved } = found;
  const reading = new AbortController();
  const cancel = MACHINE_CLOCK.timer(patienceMs, () => reading.abort(new Missing()));
  try {
    await compare(found, log, AbortSignal.any([signal, reading.signal]));
    return { kind: 'follows', sequence };
  } catch (error) {
    if (error instanceof LogLostError) return { kind: 'differs', sequence, reason: error.message };
    if (error instanceof PositionExpiredError) {
      const { position } = saved.place;
      return { kind: 'trimmed', position, first: error.oldestPosition };
    }
    if (!(error instanceof Missing)) throw error;
    const { last } = await log.bounds({ signal });
    return { kind: 'ahead', sequence, last };
  } finally {
    cancel();
    reading.abort();
  }
}

/** Whether `path`, a real path, is that of the store in a finished generation of a node. */
export async function isStoreOfNode(fs: FileSystem, path: string): Promise<boolean> {
  const generation = dirname(path);
  return path === storePath(generation) && isGeneration(fs, generation);
}

/** Ends the wait for entries. */
class Missing extends Error {}

async function readNode(fs: FileSystem, directory: string): Promise<Directory | undefined> {
  const path = await new Generations(fs, directory).newest();
  const saved = path === undefined ? undefined : await readPosition(fs, path);
  if (path === undefined || saved === undefined) return undefined;
  const trail = new LogTrail(fs, storePath(path), saved.place.sequence);
  try {
    const groups = await LocalGroups.read(groupsOf(trail));
    return { saved, groups, sequence: trail.position };
  } finally {
    await trail.close();
  }
}

async function* groupsOf(trail: LogTrail): AsyncGenerator<LogGroup> {
  for (;;) {
    const group = await trail.next();
    if (group === undefined) return;
    yield group;
  }
}

/** Resolves when everything in the directory has been found in the log. */
async function compare(
  { saved, groups, sequence }: Directory,
  log: UnchangedLog,
  signal: AbortSignal,
): Promise<void> {
  const { place } = saved;
  const isFollowed = (): boolean => groups.areVerified;
  if (isFollowed() && (await hasPlace(place, sequence, log, signal))) return;
  const chain = new LogChain(place);
  for await (const { position, entry } of log.read(place.position + 1n, { signal })) {
    const step = chain.take(position, entry);
    if (step.kind === 'group' && !isFollowed()) {
      const { firstSequence } = step.group;
      groups.compare(position, firstSequence, decodeShared(position, step.group));
    }
    if (isFollowed()) return;
  }
}

/**
 * True if the log has the entry at the place, or has no entry before it was trimmed.
 * @throws LogLostError if it has another entry there; Missing if an interrupted repair from this
 *   directory has appended that entry
 */
async function hasPlace(
  place: LogPlace,
  sequence: bigint,
  log: UnchangedLog,
  signal: AbortSignal,
): Promise<boolean> {
  const { position, checksum } = place;
  if (position === 0n) return (await log.bounds({ signal })).first <= 1n;
  try {
    for await (const { entry } of log.read(position, { signal })) {
      if (checksumOfEntry(entry) === checksum) return true;
      if (isRepairFrom(place, sequence, entry)) throw new Missing();
      throw new LogLostError({ position, reason: 'it has another entry than the store applied' });
    }
    return false;
  } catch (error) {
    if (error instanceof PositionExpiredError) return false;
    throw error;
  }
}

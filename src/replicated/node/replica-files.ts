import { join } from 'node:path';
import {
  CorruptionError,
  PositionExpiredError,
  StoreLockedError,
  type StoreError,
} from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';
import { lockOwnerOf } from '../../directory/owner-record.ts';
import type { FileLock } from '../../fs/file-system.ts';
import { restoreOn } from '../../store/backup/restore.ts';
import type { OpenOptions } from '../../store/open/options.ts';
import { CheckpointStoreError } from '../checkpoint/checkpoint-store.ts';
import type { CheckpointManifest } from '../checkpoint/checkpoint-manifest.ts';
import type { Checkpoints, WrittenCheckpoint } from '../checkpoint/checkpoints.ts';
import { LOG_START, type LogPlace } from '../log/log-chain.ts';
import { LogLostError, NotPrimaryError, RepairedError } from '../log/log-errors.ts';
import { checksumOfEntry } from '../log/entry.ts';
import type { SharedLog } from '../log/shared-log.ts';
import { Generations, removeTree } from './generations.ts';
import { OpenReplica, storePath, type CommitHost } from './open-replica.ts';
import { NODE_ID_BYTES } from './position-file.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';

export interface ReplicaFilesParts {
  readonly environment: ReplicaEnvironment;
  readonly directory: string;
  readonly storeOptions: OpenOptions;
  readonly checkpoints: Checkpoints | undefined;
  /** `refuse`: a damaged directory does not begin again at the start of the log. */
  readonly ifDamaged?: 'begin' | 'refuse';
}

const OWNER_NONCE_BYTES = 4;

const LOCK_NAME = 'node.lock';
const BACKUP_NAME = 'outgoing';
const INCOMING_NAME = 'incoming';

/**
 * The directory of a replica: opens it, rebuilds it from a checkpoint, writes it to a checkpoint.
 */
export class ReplicaFiles {
  readonly #parts: ReplicaFilesParts;
  readonly #generations: Generations;
  #lock: FileLock | undefined;
  /**
   * The generation that began anew. It is not known yet that the log has everything: the damaged
   * one may have more.
   */
  #unproven: string | undefined;

  constructor(parts: ReplicaFilesParts) {
    this.#parts = parts;
    this.#generations = new Generations(parts.environment.fileSystem, parts.directory);
  }

  /**
   * Opens the directory. An empty one is filled from the newest checkpoint; without a checkpoint,
   * it starts at the beginning of the log. A damaged one is rebuilt, not salvaged, because the
   * sequence numbers of salvaged batches would not match the log.
   */
  async open(host: CommitHost, signal: AbortSignal): Promise<OpenReplica> {
    await this.#takeLock();
    const path = await this.#generations.newest();
    const { environment, storeOptions } = this.#parts;
    if (path === undefined) return this.#fill(host, signal);
    let replica: OpenReplica | undefined;
    try {
      replica = await OpenReplica.open(environment, path, storeOptions, host);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      return this.rebuild(host, error, signal);
    }
    if (replica === undefined) throw new Error('a generation that counts is finished');
    return replica;
  }

  /**
   * Excludes other processes of this machine. A store has a lock of its own, but another process
   * would take a generation that is being restored for an unfinished one, and remove it.
   * @throws StoreLockedError
   */
  async #takeLock(): Promise<void> {
    const { environment, directory } = this.#parts;
    await ensureDirectory(environment.fileSystem, directory, true);
    const path = join(directory, LOCK_NAME);
    const taking = environment.fileSystem.tryLock(path).catch((error: unknown) => {
      throw storeErrorOf(error, { what: 'the lock on the directory could not be taken', path });
    });
    this.#lock = await taking;
    if (this.#lock !== undefined) return;
    const message = `${directory} is open in another process, or twice in this one; close it there first`;
    throw new StoreLockedError(message, lockOwnerOf(undefined), { path });
  }

  /** Releases the directory. The stores that were opened must be closed. Idempotent. */
  async close(): Promise<void> {
    const unproven = this.#unproven;
    if (unproven !== undefined) await this.#generations.remove(unproven).catch(() => undefined);
    await this.#lock?.release();
  }

  async #fill(host: CommitHost, signal: AbortSignal): Promise<OpenReplica> {
    const restored = await this.#restoreNewest(host, signal);
    return restored ?? this.#begin(host);
  }

  /** A generation that starts at the beginning of the log. */
  async #begin(host: CommitHost): Promise<OpenReplica> {
    const path = await this.#generations.begin();
    await this.#generations.finish(path, { nodeId: this.#newId(), place: LOG_START });
    return this.#openFinished(path, host);
  }

  async #openFinished(path: string, host: CommitHost): Promise<OpenReplica> {
    const { environment, storeOptions } = this.#parts;
    const replica = await OpenReplica.open(environment, path, storeOptions, host);
    if (replica === undefined) throw new Error('the generation was finished');
    return replica;
  }

  /** Removes the generations that this one replaces: all of it has been found in the log. */
  async removeOthers(kept: OpenReplica): Promise<void> {
    this.#unproven = undefined;
    await this.#generations.removeOthers(kept.directory);
  }

  #newId(): Uint8Array {
    return this.#parts.environment.randomBytes(NODE_ID_BYTES);
  }

  /**
   * Opens a new generation from the newest checkpoint, because the store cannot continue. Restores
   * no checkpoint from which the log cannot be followed either.
   * @throws the cause if no checkpoint reaches the log
   */
  async rebuild(host: CommitHost, cause: StoreError, signal: AbortSignal): Promise<OpenReplica> {
    const replica = await this.#restoreNewest(host, signal, leastPlace(cause));
    if (replica !== undefined) return replica;
    const { checkpoints } = this.#parts;
    if (cause instanceof PositionExpiredError) {
      // The log was trimmed past every checkpoint: a retry cannot help.
      const newest = checkpoints && ((await this.newestCheckpoint(signal)) ?? 'none');
      throw withoutCheckpoint(cause, newest);
    }
    if (cause instanceof RepairedError && checkpoints !== undefined) {
      throw new CheckpointStoreError('unavailable', 'the checkpoint of a repair is not there yet');
    }
    if (!(cause instanceof CorruptionError) || this.#parts.ifDamaged === 'refuse') throw cause;
    // The log may still have everything; if it does not, the next rebuild finds out.
    const begun = await this.#begin(host);
    this.#unproven = begun.directory;
    return begun;
  }

  /**
   * Restores the newest complete checkpoint at position `least` or later; undefined if none is
   * listed. Lists again after a failure: the checkpoints may have been replaced during a download.
   */
  async #restoreNewest(
    host: CommitHost,
    signal: AbortSignal,
    least: LeastPlace = { position: 0n, epoch: 0n },
  ): Promise<OpenReplica | undefined> {
    const { checkpoints } = this.#parts;
    if (checkpoints === undefined) return undefined;
    const failed = new Set<string>();
    let failure: unknown;
    for (;;) {
      const listed = await checkpoints.list(signal);
      const next = listed.find(
        ({ name, position }) => position >= least.position && !failed.has(name),
      );
      if (next === undefined) break;
      try {
        const manifest = await checkpoints.manifest(next.name, signal);
        const isOfLog = manifest.place.epoch >= least.epoch;
        if (isOfLog) return await this.#restore(checkpoints, next.name, manifest, host, signal);
        failed.add(next.name);
      } catch (error) {
        const isDamage =
          error instanceof CorruptionError ||
          (error instanceof CheckpointStoreError && error.reason !== 'unavailable');
        if (!isDamage) throw error;
        failure = error;
        failed.add(next.name);
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  async #restore(
    checkpoints: Checkpoints,
    name: string,
    manifest: CheckpointManifest,
    host: CommitHost,
    signal: AbortSignal,
  ): Promise<OpenReplica> {
    const { place } = manifest;
    const path = await this.#generations.begin();
    try {
      const incoming = join(path, INCOMING_NAME);
      const { fileSystem } = this.#parts.environment;
      await fileSystem.makeDirectory(incoming);
      await checkpoints.download(manifest, incoming, signal);
      const { lastSequence } = await restoreOn(fileSystem, incoming, storePath(path), { signal });
      if (lastSequence !== place.sequence) {
        const found = `${lastSequence}, and not ${place.sequence}`;
        throw new CheckpointStoreError('damaged', `the checkpoint ${name} has sequence ${found}`);
      }
      await removeTree(fileSystem, incoming);
      await this.#generations.finish(path, { nodeId: this.#newId(), place });
      return await this.#openFinished(path, host);
    } catch (error) {
      await this.#generations.remove(path).catch(() => undefined);
      throw error;
    }
  }

  /** Position of the newest checkpoint; undefined if there is none. */
  async newestCheckpoint(signal: AbortSignal): Promise<bigint | undefined> {
    return (await this.#parts.checkpoints?.list(signal))?.[0]?.position;
  }

  /** @throws CheckpointStoreError if there are checkpoints of another log than that of a place */
  async requireOwnCheckpoints({ logId }: LogPlace, signal: AbortSignal): Promise<void> {
    if (logId !== undefined) await this.#parts.checkpoints?.requireOfLog(logId, signal);
  }

  /**
   * Trims the log up to the second-newest checkpoint. The two newest must belong to this log.
   * Resolves to the position up to which entries may be removed.
   */
  async trim(log: SharedLog, place: LogPlace, signal: AbortSignal): Promise<bigint | undefined> {
    const { checkpoints } = this.#parts;
    if (checkpoints === undefined) return undefined;
    await this.requireOwnCheckpoints(place, signal);
    const [newest, second] = await checkpoints.list(signal);
    if (newest === undefined || second === undefined || newest.position > place.position) {
      return undefined;
    }
    for (const { name } of [newest, second]) {
      const manifest = await checkpoints.manifest(name, signal);
      await requireInLog(log, manifest.place, signal);
    }
    await log.trim(second.position, { signal });
    return second.position;
  }

  /** Writes a verified backup of the replica to the checkpoint store. */
  checkpoint(replica: OpenReplica, signal: AbortSignal): Promise<WrittenCheckpoint> {
    // The upload may take long, and needs no marks.
    const backUp = (target: string): Promise<LogPlace> =>
      replica.withMarks(async (placeAt) => placeAt(await backUpTo(replica, target, signal)));
    return this.#upload(replica, backUp, signal);
  }

  /** As `checkpoint`, at the place of the replica's last batch. */
  checkpointAt(
    replica: OpenReplica,
    place: LogPlace,
    signal: AbortSignal,
  ): Promise<WrittenCheckpoint> {
    const backUp = async (target: string): Promise<LogPlace> => {
      await backUpTo(replica, target, signal);
      return place;
    };
    return this.#upload(replica, backUp, signal);
  }

  async #upload(
    replica: OpenReplica,
    backUp: (target: string) => Promise<LogPlace>,
    signal: AbortSignal,
  ): Promise<WrittenCheckpoint> {
    const { checkpoints, environment } = this.#parts;
    if (checkpoints === undefined) throw new TypeError('the store was opened without checkpoints');
    const { fileSystem } = environment;
    const target = join(replica.directory, BACKUP_NAME);
    await removeTree(fileSystem, target);
    try {
      const place = await backUp(target);
      const { logId } = place;
      if (logId === undefined) {
        throw new NotPrimaryError(
          'the shared log has no entry yet: promote a node first',
          undefined,
        );
      }
      await checkpoints.requireOfLog(logId, signal);
      const files = (await fileSystem.readDirectory(target))
        .filter(({ kind }) => kind === 'file')
        .map(({ name }) => name);
      const at = { ...place, logId };
      const { nodeId } = replica;
      const writer = { nodeId, nonce: environment.randomBytes(OWNER_NONCE_BYTES) };
      const written = await checkpoints.write(target, files, at, writer, signal);
      await checkpoints.removeOld(nodeId, signal);
      return written;
    } finally {
      await removeTree(fileSystem, target);
    }
  }
}

/** Resolves to the last sequence of the backup. */
async function backUpTo(
  { store }: OpenReplica,
  target: string,
  signal: AbortSignal,
): Promise<bigint> {
  const { lastSequence } = await store.backup(target, { verify: true, signal });
  return lastSequence;
}

type LeastPlace = Pick<LogPlace, 'position' | 'epoch'>;

/** The least place of a checkpoint after which the log can be read on. */
function leastPlace(cause: StoreError): LeastPlace {
  if (cause instanceof RepairedError) return { position: cause.position, epoch: cause.epoch };
  const isExpired = cause instanceof PositionExpiredError;
  return { position: isExpired ? cause.oldestPosition - 1n : 0n, epoch: 0n };
}

/** The error of a node that is behind a trimmed log. The message says what to do. */
function withoutCheckpoint(
  { message, position, oldestPosition, lastPosition }: PositionExpiredError,
  newest: bigint | 'none' | undefined,
): PositionExpiredError {
  const found =
    newest === undefined
      ? 'the node was opened without checkpoints'
      : newest === 'none'
        ? 'there is no checkpoint'
        : `the newest checkpoint is at ${newest}`;
  const remedy =
    newest === undefined
      ? 'Open it with the checkpoints of the other nodes.'
      : 'Write a checkpoint on a node that follows the log, and open this one again. If there is none, the repair of the node with the most batches begins another log (docs/guides/replicate.md).';
  return new PositionExpiredError(`${message}, and ${found}. ${remedy}`, {
    position,
    oldestPosition,
    lastPosition,
  });
}

/** Checks that the log has the entry before the checkpoint's place, or has been trimmed past it. */
async function requireInLog(log: SharedLog, place: LogPlace, signal: AbortSignal): Promise<void> {
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

import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { CorruptionError, PositionExpiredError, type StoreError } from '../../base/errors.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';
import { takePlainLock } from '../../directory/plain-lock.ts';
import { restoreOn } from '../../store/backup/restore.ts';
import type { OpenOptions } from '../../store/open/options.ts';
import type { CheckpointManifest } from '../checkpoint/checkpoint-manifest.ts';
import { CheckpointStoreError, type CheckpointStore } from '../checkpoint/checkpoint-store.ts';
import { Checkpoints, ofOtherLog, type WrittenCheckpoint } from '../checkpoint/checkpoints.ts';
import { FoundPieces } from '../checkpoint/found-pieces.ts';
import { PatientCheckpoints } from '../checkpoint/patient-checkpoints.ts';
import { irreplaceable, withoutCheckpoint } from '../checkpoint/without-checkpoint.ts';
import { LOG_START, type LogPlace } from '../log/log-chain.ts';
import { idOfLog, isWholeLog, requireInLog } from '../log/log-identity.ts';
import { LogUnavailableError, NotPrimaryError, RepairedError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import { backoffMs } from './appender.ts';
import { Generations, removeTree } from './generations.ts';
import { OpenReplica, storePath, type CommitHost } from './open-replica.ts';
import { NODE_ID_BYTES, readPosition } from './position-file.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';

/** The checkpoints in a store, whose calls end if they make no progress. */
export function checkpointsIn(
  { fileSystem, clock }: ReplicaEnvironment,
  store: CheckpointStore,
): Checkpoints {
  return new Checkpoints(new PatientCheckpoints(store, clock.timer), fileSystem);
}

export interface ReplicaFilesParts {
  readonly environment: ReplicaEnvironment;
  readonly directory: string;
  readonly storeOptions: OpenOptions;
  readonly log: SharedLog;
  readonly checkpoints: Checkpoints | undefined;
  /** `refuse`: a damaged directory does not begin again at the start of the log. */
  readonly ifDamaged?: 'begin' | 'refuse';
}

interface RestoreSource {
  readonly checkpoints: Checkpoints;
  readonly host: CommitHost;
  readonly signal: AbortSignal;
  readonly found: FoundPieces;
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
  #unlock: (() => Promise<void>) | undefined;

  constructor(parts: ReplicaFilesParts) {
    this.#parts = parts;
    this.#generations = new Generations(parts.environment.fileSystem, parts.directory);
  }

  get hasCheckpoints(): boolean {
    return this.#parts.checkpoints !== undefined;
  }

  /**
   * Opens the directory, which other stores then cannot open until `close`. An empty one is filled
   * from the newest checkpoint; without a checkpoint, it starts at the beginning of the log. A
   * damaged one is rebuilt, not salvaged, because the sequence numbers of salvaged batches would
   * not match the log.
   * @throws StoreLockedError
   */
  async open(host: CommitHost, signal: AbortSignal): Promise<OpenReplica> {
    await this.#lock();
    const { environment, storeOptions } = this.#parts;
    const path = await this.#generations.newest();
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

  /**
   * Takes the directory before anything in it is looked at. The lock of the store is not enough:
   * while a first process fills the directory there is no store yet, and a second one would remove
   * its generation as unfinished.
   */
  async #lock(): Promise<void> {
    const { environment, directory } = this.#parts;
    const { fileSystem, owner } = environment;
    await ensureDirectory(fileSystem, directory, true);
    this.#unlock = await takePlainLock(fileSystem, directory, LOCK_NAME, await owner());
  }

  /** Releases the directory, whose store must be closed. Idempotent. */
  async close(): Promise<void> {
    const unlock = this.#unlock;
    this.#unlock = undefined;
    await unlock?.();
  }

  /** Removes the generations that this one replaces. */
  async removeOthers(kept: OpenReplica): Promise<void> {
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
    const { checkpoints, directory } = this.#parts;
    if (cause instanceof PositionExpiredError) {
      // The log was trimmed past every checkpoint: a retry cannot help.
      const newest = checkpoints && ((await this.newestCheckpoint(undefined, signal)) ?? 'none');
      throw withoutCheckpoint(cause, newest);
    }
    if (cause instanceof RepairedError && checkpoints !== undefined) {
      throw new CheckpointStoreError('unavailable', 'the checkpoint of a repair is not there yet');
    }
    if (!(cause instanceof CorruptionError) || this.#parts.ifDamaged === 'refuse') throw cause;
    // Otherwise the damaged store may have what nothing else has: it is kept.
    if (!(await this.#isWholeLog(signal))) throw irreplaceable(cause, directory);
    return this.#begin(host);
  }

  /** Waits while the engine cannot be reached. */
  async #isWholeLog(signal: AbortSignal): Promise<boolean> {
    const { environment, log } = this.#parts;
    for (let attempt = 0; ; attempt++) {
      try {
        return await isWholeLog(log, signal);
      } catch (error) {
        if (!(error instanceof LogUnavailableError)) throw error;
        await environment.clock.sleep(backoffMs(attempt), signal);
      }
    }
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
    const { checkpoints, environment } = this.#parts;
    if (checkpoints === undefined) return undefined;
    const found = new FoundPieces(environment.fileSystem);
    try {
      return await this.#restoreAny({ checkpoints, host, signal, found }, least);
    } finally {
      if (found.kept !== undefined)
        await this.#generations.remove(found.kept).catch(() => undefined);
    }
  }

  async #restoreAny(source: RestoreSource, least: LeastPlace): Promise<OpenReplica | undefined> {
    const { checkpoints, signal } = source;
    const tried = new Set<string>();
    let failure: unknown;
    let logId: Uint8Array | undefined;
    for (;;) {
      const listed = await checkpoints.list(signal);
      const next = listed.find(
        ({ name, position }) => position >= least.position && !tried.has(name),
      );
      if (next === undefined) break;
      tried.add(next.name);
      try {
        const manifest = await checkpoints.manifest(next.name, signal);
        logId ??= await this.#logId(signal);
        if (logId !== undefined && !equalBytes(logId, manifest.place.logId)) {
          throw ofOtherLog(next.name);
        }
        // It has entries that the log has lost.
        if (manifest.place.epoch < least.epoch) continue;
        return await this.#restore(source, next.name, manifest);
      } catch (error) {
        const isDamage =
          error instanceof CorruptionError ||
          (error instanceof CheckpointStoreError && error.reason !== 'unavailable');
        if (!isDamage) throw error;
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  /** The id of the log that the directory, or else the engine, has. */
  async #logId(signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { environment, log } = this.#parts;
    const path = await this.#generations.newest();
    const saved =
      path === undefined
        ? undefined
        : await readPosition(environment.fileSystem, path).catch(() => undefined);
    return saved?.place.logId ?? (await idOfLog(log, environment.clock.timer, signal));
  }

  async #restore(
    { checkpoints, host, signal, found }: RestoreSource,
    name: string,
    manifest: CheckpointManifest,
  ): Promise<OpenReplica> {
    const { place } = manifest;
    const path = await this.#generations.begin(found.kept);
    try {
      const incoming = join(path, INCOMING_NAME);
      const { fileSystem } = this.#parts.environment;
      await fileSystem.makeDirectory(incoming);
      await checkpoints.download(manifest, incoming, signal, found);
      const { lastSequence } = await restoreOn(fileSystem, incoming, storePath(path), { signal });
      if (lastSequence !== place.sequence) {
        const text = `the files of ${name} end with batch ${lastSequence}, not ${place.sequence}`;
        throw new CheckpointStoreError('damaged', text);
      }
      await removeTree(fileSystem, incoming);
      await this.#generations.finish(path, { nodeId: this.#newId(), place });
      return await this.#openFinished(path, host);
    } catch (error) {
      // An object was removed meanwhile: what was downloaded serves for a newer checkpoint.
      const isGone = error instanceof CheckpointStoreError && error.reason === 'not-found';
      const stale = isGone ? found.keep(path) : path;
      if (stale !== undefined) await this.#generations.remove(stale).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Position of the newest checkpoint, of this log if its id is given; undefined if there is none.
   * @throws CheckpointStoreError
   */
  async newestCheckpoint(
    logId: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<bigint | undefined> {
    const { checkpoints } = this.#parts;
    const listed =
      logId === undefined
        ? await checkpoints?.list(signal)
        : await checkpoints?.listOf(logId, signal);
    return listed?.[0]?.position;
  }

  /**
   * Trims the log up to the second-newest checkpoint. The two newest must belong to this log.
   * Resolves to the position up to which entries may be removed.
   * @throws CheckpointStoreError, LogLostError, LogUnavailableError
   */
  async trim({ position, logId }: LogPlace, signal: AbortSignal): Promise<bigint | undefined> {
    const { checkpoints, log } = this.#parts;
    if (checkpoints === undefined || logId === undefined) return undefined;
    const [newest, second] = await checkpoints.listOf(logId, signal);
    if (newest === undefined || second === undefined || newest.position > position) {
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
    // Not during the upload, which may take long: the replica keeps the place of each group.
    return this.#write(replica, signal, (backUp) =>
      replica.withMarks(async (placeAt) => placeAt(await backUp())),
    );
  }

  /** As `checkpoint`, at this place, where the replica is and stays. */
  checkpointAt(
    replica: OpenReplica,
    place: LogPlace,
    signal: AbortSignal,
  ): Promise<WrittenCheckpoint> {
    return this.#write(replica, signal, async (backUp) => {
      await backUp();
      return place;
    });
  }

  /** `placed` runs the backup, and returns the place of the sequence up to which it reaches. */
  async #write(
    replica: OpenReplica,
    signal: AbortSignal,
    placed: (backUp: () => Promise<bigint>) => Promise<LogPlace>,
  ): Promise<WrittenCheckpoint> {
    const { checkpoints, environment } = this.#parts;
    if (checkpoints === undefined) throw new TypeError('the store was opened without checkpoints');
    const { fileSystem } = environment;
    const target = join(replica.directory, BACKUP_NAME);
    await removeTree(fileSystem, target);
    try {
      const place = await placed(async () => {
        const { lastSequence } = await replica.store.backup(target, { verify: true, signal });
        return lastSequence;
      });
      const { logId } = place;
      if (logId === undefined) {
        throw new NotPrimaryError(
          'the shared log has no entry yet: promote a node first',
          undefined,
        );
      }
      const files = (await fileSystem.readDirectory(target))
        .filter(({ kind }) => kind === 'file')
        .map(({ name }) => name);
      const at = { ...place, logId };
      const { nodeId } = replica;
      const writer = { nodeId, nonce: environment.randomBytes(OWNER_NONCE_BYTES) };
      const written = await checkpoints.write(target, files, at, writer, signal);
      await checkpoints.removeOld(nodeId, logId, signal);
      return written;
    } finally {
      await removeTree(fileSystem, target);
    }
  }
}

type LeastPlace = Pick<LogPlace, 'position' | 'epoch'>;

/** The least place of a checkpoint after which the log can be read on. */
function leastPlace(cause: StoreError): LeastPlace {
  if (cause instanceof RepairedError) return { position: cause.position, epoch: cause.epoch };
  const isExpired = cause instanceof PositionExpiredError;
  return { position: isExpired ? cause.oldestPosition - 1n : 0n, epoch: 0n };
}

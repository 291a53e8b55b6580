import { equalBytes } from '../../base/bytes.ts';
import { PositionExpiredError, StoreError } from '../../base/errors.ts';
import { pathOf } from '../../base/path.ts';
import { absolutePathOf } from '../../fs/absolute-path.ts';
import { CODEC_RAW } from '../../format/compression.ts';
import { inOrder } from '../../store/writer.ts';
import { CheckpointStoreError } from '../checkpoint/checkpoint-store.ts';
import type { Checkpoints } from '../checkpoint/checkpoints.ts';
import { checksumOfEntry, encodeEntry, LOG_ID_BYTES, NONCE_BYTES } from '../log/entry.ts';
import { isRepairFrom, placeOfEntry } from '../log/entry-place.ts';
import { LOG_START, type LogPlace } from '../log/log-chain.ts';
import { LogLostError, NotPrimaryError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import { Appender } from './appender.ts';
import type { CommitHost, OpenReplica } from './open-replica.ts';
import { writePosition } from './position-file.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';
import { checkpointsIn, ReplicaFiles } from './replica-files.ts';
import {
  resolveOrClose,
  type ReplicatedOptions,
  type ResolvedReplicatedOptions,
} from './replicated-options.ts';

/** The result of `ReplicatedStore.repair`. */
export interface RepairReport {
  /** Position of the takeover from which the log continues. */
  readonly position: bigint;
  /** Sequence of the last batch in the repaired log. */
  readonly sequence: bigint;
  /** Batches that the log had lost, restored by the checkpoint at that position. */
  readonly restoredBatches: bigint;
  /** Name of that checkpoint. */
  readonly checkpoint: string;
  /** Number of checkpoints removed because the log no longer has the entries before them. */
  readonly removedCheckpoints: number;
}

/** The host of a store that is only repaired: it commits nothing. */
const NO_COMMITS: CommitHost = {
  refusal: () =>
    new StoreError('LODESTORE_READ_ONLY', 'the shared log is being repaired', {
      outcome: 'not-applied',
    }),
  confirm: () => Promise.resolve(NO_COMMITS.refusal()),
  append: () => Promise.resolve(NO_COMMITS.refusal()),
  reached: () => undefined,
};

interface RepairParts {
  readonly environment: ReplicaEnvironment;
  readonly options: ResolvedReplicatedOptions;
  readonly files: ReplicaFiles;
  readonly checkpoints: Checkpoints;
  readonly signal: AbortSignal;
}

/** The end of the log, before the repair. */
interface LogEnd {
  readonly place: LogPlace;
  /** True: its last entry is the takeover of a repair from this store, which was interrupted. */
  readonly isRepaired: boolean;
}

/**
 * Continues a log that lost its end from the state of `replica`, which has all of the log and more.
 * Appends a takeover with the replica's sequence, and writes a checkpoint of the replica at that
 * position. Other nodes that read the takeover restore the checkpoint. If an earlier call has
 * appended the takeover and was interrupted, this call does the rest.
 * @throws LogLostError if the log has anything that the replica lacks: then no state has all
 *   acknowledged batches; NotPrimaryError if another node appends meanwhile
 */
async function repairLog(parts: RepairParts, replica: OpenReplica): Promise<RepairReport> {
  const { options, environment, signal, files, checkpoints } = parts;
  const sequence = replica.access.lastSequence;
  const { place: end, isRepaired } = await endOf(options.log, replica, signal).catch(
    (error: unknown) => {
      if (!(error instanceof PositionExpiredError)) throw error;
      const { position, oldestPosition } = error;
      const reason = `it begins at ${oldestPosition}, and the store ends with batch ${sequence}`;
      throw new LogLostError({ position, reason });
    },
  );
  if (sequence < end.sequence) {
    const reason = `it has batches up to ${end.sequence}, and the store only up to ${sequence}`;
    throw new LogLostError({ position: end.position, reason });
  }
  await requireInStore(checkpoints, sequence, signal);
  await replica.store.sync();
  const place = isRepaired ? end : await takeOver(parts, replica, end);
  // The append has proved that the log ended before. Other nodes would restore these checkpoints,
  // and not find their entries in the log.
  const removedCheckpoints = await checkpoints.removeAfter(place.position - 1n, signal);
  const { nodeId, directory } = replica;
  await writePosition(environment.fileSystem, directory, { nodeId, place });
  const { name } = await files.checkpointAt(replica, place, signal);
  const restoredBatches = sequence - end.sequence;
  const { position } = place;
  return { position, sequence, restoredBatches, checkpoint: name, removedCheckpoints };
}

/** Appends a takeover that names the replica's last batch. Resolves to the place after it. */
async function takeOver(
  { options, environment, signal }: RepairParts,
  replica: OpenReplica,
  end: LogPlace,
): Promise<LogPlace> {
  const { place: known } = replica;
  const sequence = replica.access.lastSequence;
  const isLonger = sequence > end.sequence;
  const highest = known.epoch > end.epoch ? known.epoch : end.epoch;
  const nonce = environment.randomBytes(NONCE_BYTES);
  const piece = new TextEncoder().encode(options.address);
  const logId = end.logId ?? known.logId ?? environment.randomBytes(LOG_ID_BYTES);
  const epoch = (isLonger ? highest : end.epoch) + 1n;
  const entry = encodeEntry({
    kind: 'takeover',
    codec: CODEC_RAW,
    rowsVersion: 0,
    logId,
    epoch,
    firstSequence: sequence + 1n,
    batchCount: 0,
    recordCount: 0,
    decodedBytes: piece.length,
    payloadBytes: piece.length,
    pieceOffset: 0,
    previous: end.checksum,
    nonce,
    piece,
  });
  const position = end.position + 1n;
  const appender = new Appender({
    ...options,
    clock: environment.clock,
    onUnavailable: () => undefined,
  });
  if ((await appender.append(position, entry, nonce, signal)) !== 'ours') {
    const message = 'another node appended to the log during the repair; stop it and repair again';
    throw new NotPrimaryError(message, undefined, { outcome: 'not-applied' });
  }
  return { logId, position, sequence, epoch, checksum: checksumOfEntry(entry) };
}

/** @throws LogLostError if a checkpoint has batches that the store lacks */
async function requireInStore(
  checkpoints: Checkpoints,
  sequence: bigint,
  signal: AbortSignal,
): Promise<void> {
  for (const { name } of await checkpoints.list(signal)) {
    const found = await checkpoints.manifest(name, signal).catch((error: unknown) => {
      if (error instanceof CheckpointStoreError && error.reason !== 'unavailable') return undefined;
      throw error;
    });
    if (found === undefined || found.place.sequence <= sequence) continue;
    const reason = `the checkpoint ${name} has batches up to ${found.place.sequence}, and the store only up to ${sequence}: repair from an empty directory, which is filled from it`;
    throw new LogLostError({ position: found.place.position, reason });
  }
}

/**
 * The end of the log. Compares the entry at the replica's place, and the later ones with the
 * replica's groups.
 */
async function endOf(log: SharedLog, replica: OpenReplica, signal: AbortSignal): Promise<LogEnd> {
  const { first, last } = await log.bounds({ signal });
  const { place } = replica;
  const notRepaired = (end: LogPlace): LogEnd => ({ place: end, isRepaired: false });
  // Nothing is left to continue.
  if (first > last) return notRepaired({ ...LOG_START, position: last });
  if (last <= place.position || first === last) {
    const entry = await entryAt(log, last, signal);
    const isRepaired = isRepairFrom(place, replica.access.lastSequence, entry);
    if (isRepaired) return { place: placeOfEntry(last, entry), isRepaired };
    if (last < place.position) return notRepaired(shorterEnd(place, last, entry));
  }
  if (place.position > 0n) replica.anchor(await untrimmedAt(log, place.position, signal));
  if (last === place.position) return notRepaired(place);
  for await (const { position, entry } of log.read(place.position + 1n, { signal })) {
    const { kind } = await replica.take(position, entry, signal);
    if (position < last) continue;
    const end = replica.chain.place;
    const isRepaired = kind === 'repaired' && end.sequence === replica.access.lastSequence;
    return { place: end, isRepaired };
  }
  throw new LogLostError({ position: last, reason: 'there is no entry' });
}

/**
 * The end of a log that ends before the store's place.
 * @throws LogLostError if another node has continued it
 */
function shorterEnd(place: LogPlace, last: bigint, entry: Uint8Array): LogPlace {
  const end = placeOfEntry(last, entry);
  // Earlier entries cannot be compared, but a node that continued the log has taken over.
  const isOurs = place.logId === undefined || equalBytes(place.logId, end.logId!);
  if (isOurs && end.epoch <= place.epoch) return end;
  const reason = `it has epoch ${end.epoch}, and the store ${place.epoch}: another node has continued it`;
  throw new LogLostError({ position: last, reason });
}

async function entryAt(log: SharedLog, position: bigint, signal: AbortSignal): Promise<Uint8Array> {
  for await (const { entry } of log.read(position, { signal })) return entry;
  throw new LogLostError({ position, reason: 'there is no entry' });
}

/** Undefined if the entry was trimmed. */
async function untrimmedAt(
  log: SharedLog,
  position: bigint,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await entryAt(log, position, signal);
  } catch (error) {
    if (error instanceof PositionExpiredError) return undefined;
    throw error;
  }
}

/** Internal: `ReplicatedStore.repair` in another environment. */
export async function repairReplicaIn(
  environment: ReplicaEnvironment,
  directory: string | URL,
  given: ReplicatedOptions,
): Promise<RepairReport> {
  const options = await resolveOrClose(given);
  const { log, checkpoints, store: storeOptions } = options;
  if (checkpoints === undefined) throw new TypeError('options.checkpoints must be given');
  const path = absolutePathOf(pathOf(directory, 'directory'), 'directory');
  const kept = checkpointsIn(environment, checkpoints);
  const places = { environment, directory: path, log, checkpoints: kept };
  // A damaged directory that began again would continue the log from nothing.
  const files = new ReplicaFiles({ ...places, storeOptions, ifDamaged: 'refuse' });
  const signal = options.signal ?? new AbortController().signal;
  try {
    const replica = await files.open(NO_COMMITS, signal);
    try {
      return await repairLog({ environment, options, files, checkpoints: kept, signal }, replica);
    } finally {
      await replica.close();
    }
  } finally {
    await inOrder([() => files.close(), () => log.close(), () => checkpoints.close()]);
  }
}

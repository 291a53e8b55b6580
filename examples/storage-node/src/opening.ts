import { MetadataStore } from 'lodestore';
import type { FileSystem } from 'lodestore/fs';
import { openingError, OpeningRoom } from './full-disk-opening.ts';
import { FullDiskWatch } from './full-disk-watch.ts';
import { NodeRefusedError } from './node-errors.ts';
import { decodeBucketRecord } from './ledger/bucket-record.ts';
import { keyOf, lowerOf, rangeOf } from './ledger/keys.ts';
import { removeLeftovers, unfinishedRebuild } from './ledger/metadata-directory.ts';
import {
  COUNTERS_KEY,
  Counters,
  decodeIdentity,
  encodeIdentity,
  epochOf,
  IDENTITY_KEY,
  type NodeIdentity,
} from './ledger/node-record.ts';
import { Publisher } from './ledger/publisher.ts';
import { decodeVolumeRecord } from './ledger/volume-record.ts';
import { LEAF_SHAPE } from './names/index-parts.ts';
import { nameHasher } from './names/name-hash.ts';
import { NameIndex } from './names/name-index.ts';
import type { NodeEnvironment, NodeOptions } from './node-options.ts';
import { BucketTable } from './objects/bucket-table.ts';
import { Flights } from './objects/flights.ts';
import type { NodeParts } from './objects/node-parts.ts';
import { SpaceGauge } from './objects/space-gauge.ts';
import { Writers } from './objects/writers.ts';
import { ByteBudget } from './volumes/byte-budget.ts';
import { OPENING_BYTES, ReserveFile } from './volumes/reserve-file.ts';
import { unusableVolume } from './volumes/unusable-volume.ts';
import { HEADER_BYTES } from './volumes/volume-header.ts';
import { numberOfFileName, volumeFileName, VolumeSet } from './volumes/volume-set.ts';
import { Volume } from './volumes/volume.ts';
import { unknownVolumes } from './unknown-volumes.ts';

/** The findings and repairs of an open. */
export interface NodeRecovery {
  readonly volumes: number;
  /** Bytes after the last published group, of writes that were never acknowledged. */
  readonly cutBytes: number;
  readonly removedVolumes: number;
  /** Volumes that are shorter than what was published in them. */
  readonly shortVolumes: readonly number[];
  readonly milliseconds: number;
}

export interface OpenedParts {
  readonly parts: NodeParts;
  readonly space: SpaceGauge;
  readonly recovery: NodeRecovery;
}

const ID_BYTES = 16;

async function ensureDirectory(files: FileSystem, path: string): Promise<void> {
  try {
    await files.makeDirectory(path);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
    return;
  }
  const parent = path.slice(0, path.lastIndexOf('/')) || '/';
  await files.syncDirectory(parent);
}

export async function volumeFilesIn(files: FileSystem, directory: string): Promise<number[]> {
  const numbers: number[] = [];
  for (const { name } of await files.readDirectory(directory)) {
    const number = numberOfFileName(name);
    if (number !== undefined) numbers.push(number);
  }
  return numbers.sort((one, other) => one - other);
}

/**
 * Opens a node's directory, in this order: the metadata, whose lock excludes others; the identity;
 * the volumes that the metadata knows, compared with the files; removal of what a crash left;
 * buckets and leaves.
 *
 * @throws NodeRefusedError with advice; the metadata store's errors
 */
export async function openParts(
  directory: string,
  options: Required<NodeOptions>,
  environment: NodeEnvironment,
): Promise<OpenedParts> {
  const { files } = environment;
  await ensureDirectory(files, directory);
  try {
    return await openIn(directory, options, environment);
  } catch (error) {
    throw await openingError(error, files, directory);
  }
}

async function openIn(
  directory: string,
  options: Required<NodeOptions>,
  environment: NodeEnvironment,
): Promise<OpenedParts> {
  const { files, now } = environment;
  const startedMs = now();
  const volumeDirectory = `${directory}/volumes`;
  await ensureDirectory(files, volumeDirectory);
  const reserve = new ReserveFile(files, directory, options.reserveFileBytes);
  await refuseWithoutMetadata(files, directory, volumeDirectory);
  const { store, isShort } = await openStore(environment, directory, reserve);
  try {
    const found = await volumeFilesIn(files, volumeDirectory);
    const identity = await identityOf(store, found, environment);
    const made = makeParts(store, identity, volumeDirectory, options, environment, reserve);
    await made.space.look();
    loadRecords(made.parts);
    const { onNotice } = options;
    const recovery = await recover(made.parts, { directory, found, isShort, onNotice, startedMs });
    await made.space.look();
    await made.space.refill();
    return { ...made, recovery };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Refuses before an empty store is created beside volumes. */
async function refuseWithoutMetadata(
  files: FileSystem,
  directory: string,
  volumeDirectory: string,
): Promise<void> {
  const found = await volumeFilesIn(files, volumeDirectory);
  if (found.length === 0) return;
  try {
    await files.stat(`${directory}/metadata`);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    throw (await unfinishedRebuild(files, directory)) ?? lostMetadata('is missing', found.length);
  }
}

function lostMetadata(what: string, volumes: number): NodeRefusedError {
  return new NodeRefusedError(
    'LOST_METADATA',
    `the metadata ${what}, and there are volumes (${volumes})`,
    'Restore the directory "metadata" from a backup, or run "lodestore-node rebuild-index", ' +
      'which rebuilds it from the volumes',
  );
}

/** On a full disk the reserve makes room for the lock and the logs: `isShort`. */
async function openStore(
  { files, now }: NodeEnvironment,
  directory: string,
  reserve: ReserveFile,
): Promise<{ readonly store: MetadataStore; readonly isShort: boolean }> {
  const open = (): Promise<MetadataStore> =>
    MetadataStore.open(`${directory}/metadata`, { fileSystem: files });
  try {
    return { store: await open(), isShort: false };
  } catch (error) {
    const isFull = (error as { code?: unknown }).code === 'LODESTORE_FULL';
    if (!isFull) throw error;
    // If it cannot be removed, the disk is still full, and that is what is reported.
    const isFreed =
      (await reserve.giveUpToOpen().catch(() => false)) ||
      (await removeLeftovers(files, directory, now()));
    if (!isFreed) throw error;
    return { store: await open(), isShort: true };
  }
}

async function identityOf(
  store: MetadataStore,
  found: readonly number[],
  { now, randomBytes }: NodeEnvironment,
): Promise<NodeIdentity> {
  const record = store.get(IDENTITY_KEY);
  if (record !== undefined) return decodeIdentity(record.data);
  if (found.length > 0) throw lostMetadata('is empty', found.length);
  const identity = {
    nodeId: randomBytes(ID_BYTES),
    hashKey: randomBytes(ID_BYTES),
    epochMs: epochOf(now(), now()),
    hashedSince: 0,
  };
  await store.put(IDENTITY_KEY, 1n, encodeIdentity(identity));
  return identity;
}

export function makeParts(
  store: MetadataStore,
  identity: NodeIdentity,
  volumeDirectory: string,
  options: Required<NodeOptions>,
  environment: NodeEnvironment,
  reserveFile: ReserveFile,
): { readonly parts: NodeParts; readonly space: SpaceGauge } {
  const { files, now } = environment;
  const watch = new FullDiskWatch(options);
  const onError = (error: unknown): void => watch.failed(space, error);
  const counters = new Counters(store.get(COUNTERS_KEY)?.data);
  const publisher = new Publisher(store, counters, {
    onError,
    onFailed: options.onFailed,
    onFull: () => reserveFile.giveUp(),
  });
  // Also between writes, and for every reason: its directory is lost, another process has it.
  store.once('poisoned', (error) => publisher.fail(error));
  const volumes = makeVolumes(identity, volumeDirectory, options, environment);
  giveLedger(volumes, publisher, counters);
  const space: SpaceGauge = new SpaceGauge({
    freeBytes: () => files.freeBytes(volumeDirectory),
    writtenBytes: () => writers.figures.writtenBytes,
    reserveBytes: options.reserveBytes,
    reserveFile,
    watch,
    onError,
  });
  const writers = new Writers(volumes, {
    volumeBytes: options.volumeBytes,
    indexVolumeBytes: options.indexVolumeBytes,
    freeBytes: () => space.freeBytes,
    onSealed: (volume) => {
      publisher.submit((turn) => turn.touch(volume)).catch(onError);
    },
  });
  const names = new NameIndex({
    store,
    publisher,
    volumes,
    counters,
    cachedLeaves: options.cachedLeaves,
    shape: environment.leaves ?? LEAF_SHAPE,
    append: (record) => writers.index.append(record),
    onError,
  });
  const parts: NodeParts = {
    identity,
    store,
    counters,
    publisher,
    volumes,
    writers,
    budget: makeBudget(options),
    buckets: new BucketTable(),
    names,
    hash: environment.hash ?? nameHasher(identity.hashKey),
    flights: new Flights(),
    now,
    extentBytes: options.extentBytes,
    maxObjectBytes: options.maxObjectBytes,
    space,
    onError,
  };
  return { parts, space };
}

function makeBudget({ queueBytes, maxWaiting, maxWaitMs }: Required<NodeOptions>): ByteBudget {
  return new ByteBudget({ limitBytes: queueBytes, maxWaiting, maxWaitMs });
}

function makeVolumes(
  { nodeId }: NodeIdentity,
  directory: string,
  { maxOpenFiles, onError }: Required<NodeOptions>,
  { files, now }: NodeEnvironment,
): VolumeSet {
  const listeners = { onDamage: onError, onNoHoles: onError };
  return new VolumeSet({ files, directory, nodeId, maxOpenFiles, now, ...listeners });
}

/** Records volumes in the metadata. */
function giveLedger(volumes: VolumeSet, publisher: Publisher, counters: Counters): void {
  volumes.nextNumber = counters.nextVolume;
  volumes.ledger = {
    record: (volume) => {
      counters.nextVolume = Math.max(counters.nextVolume, volumes.nextNumber);
      return publisher.submit((turn) => turn.touch(volume));
    },
    forget: (volume) =>
      publisher.submit((turn) => turn.delete(keyOf('volume', volume.number)), { alone: true }),
  };
}

interface RecoveryOptions {
  readonly directory: string;
  /** The numbers of the files of volumes. */
  readonly found: readonly number[];
  /** The store could not be opened without the reserve. */
  readonly isShort: boolean;
  readonly onNotice: (text: string) => void;
  readonly startedMs: number;
}

async function recover(
  parts: NodeParts,
  { directory, found, isShort, onNotice, startedMs }: RecoveryOptions,
): Promise<NodeRecovery> {
  const { store, volumes, publisher, now } = parts;
  const files = new Set(found);
  const gone = new Set<Volume>();
  let cutBytes = 0;
  const shortVolumes: number[] = [];
  for (const [key, record] of store.entries(rangeOf('volume'))) {
    const volume = new Volume(decodeVolumeRecord(Number(lowerOf(key)), record));
    volumes.adopt(volume);
    // Nothing was published in a volume that was being created, not even that it is active.
    if (volume.state === 'retired' || volume.state === 'creating') gone.add(volume);
    else if (!files.has(volume.number)) throw missing(volume);
    files.delete(volume.number);
  }
  if (files.size > 0) await refuseForeign(parts, [...files]);
  for (const volume of volumes) {
    if (gone.has(volume)) continue;
    const fault = await volumes.inspect(volume.number);
    if (fault !== undefined) throw unusableVolume(volume.number, fault);
    const cut = await cutTail(parts, volume);
    if (cut < 0) shortVolumes.push(volume.number);
    else cutBytes += cut;
  }
  const room = new OpeningRoom({ parts, directory, gone, onNotice });
  if (isShort) {
    // So that there is a reserve for the next open.
    await room.until(2 * OPENING_BYTES);
    await parts.space.refill();
  }
  // Serials must be reserved before the first is used.
  await room.make(() => publisher.submit(() => undefined));
  for (const volume of gone) await room.make(() => volumes.retire(volume));
  await resumeWriters(parts);
  return {
    volumes: [...volumes].length,
    cutBytes,
    removedVolumes: gone.size,
    shortVolumes,
    milliseconds: now() - startedMs,
  };
}

function missing(volume: Volume): NodeRefusedError {
  const name = volumeFileName(volume.number);
  return new NodeRefusedError(
    'MISSING_VOLUME',
    `${name} is missing, in which ${volume.liveBytes} bytes are live`,
    'Put the file back, or run "lodestore-node rebuild-index", which drops its contents',
  );
}

/** Refuses volumes that the metadata does not have. */
async function refuseForeign(parts: NodeParts, numbers: readonly number[]): Promise<never> {
  for (const number of numbers) {
    const fault = await parts.volumes.inspect(number);
    if (fault !== undefined) throw unusableVolume(number, fault);
  }
  throw unknownVolumes(numbers, parts.counters.nextVolume);
}

/** Truncates what was written after the last published group. -1: the file is too short. */
async function cutTail({ volumes }: NodeParts, volume: Volume): Promise<number> {
  const path = volumes.path(volume.number);
  const { sizeBytes } = await volumes.files.stat(path);
  if (sizeBytes < volume.endBytes) {
    const message = `the file ends here, and ${volume.endBytes} bytes were written`;
    volume.damage = volumes.tell(volume, sizeBytes, message).message;
    volume.state = 'sealed';
    return -1;
  }
  const end = Math.max(volume.endBytes, HEADER_BYTES);
  if (sizeBytes === end) return 0;
  const file = await volumes.files.open(path, 'r+');
  try {
    await file.truncate(end);
    await file.dataSync();
  } finally {
    await file.close();
  }
  return sizeBytes - end;
}

/** The newest active volume of each kind is continued; the others are sealed. */
async function resumeWriters({ volumes, writers }: NodeParts): Promise<void> {
  const active = [...volumes]
    .filter(({ state }) => state === 'active')
    .sort((one, other) => other.number - one.number);
  for (const volume of active) {
    const writer = volume.kind === 'index' ? writers.index : writers.data;
    if (volume.kind !== 'bucket' && writer.volume === undefined) await writer.resume(volume);
    else volume.state = 'sealed';
  }
}

function loadRecords({ store, buckets, names }: NodeParts): void {
  for (const [key, record] of store.entries(rangeOf('bucket'))) {
    buckets.add(decodeBucketRecord(Number(lowerOf(key)), record));
  }
  names.load();
}

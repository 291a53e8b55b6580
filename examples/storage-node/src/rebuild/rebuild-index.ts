import { MetadataStore } from 'lodestore';
import type { FileSystem } from 'lodestore/fs';
import { NodeRefusedError } from '../node-errors.ts';
import { encodeBucketRecord, type Bucket } from '../ledger/bucket-record.ts';
import { extentKey, keyOf } from '../ledger/keys.ts';
import {
  clearTheWay,
  putInPlace,
  rebuildIsRunning,
  rebuildPath,
} from '../ledger/metadata-directory.ts';
import {
  COUNTERS_KEY,
  encodeCounters,
  encodeIdentity,
  epochOf,
  IDENTITY_KEY,
} from '../ledger/node-record.ts';
import type { NodeIdentity } from '../ledger/node-record.ts';
import type { Turn } from '../ledger/publisher.ts';
import { checkedOptions, type NodeEnvironment, type NodeOptions } from '../node-options.ts';
import type { ByteName } from '../names/byte-name.ts';
import { compareByteNames } from '../names/leaf-block.ts';
import { makeParts, volumeFilesIn } from '../opening.ts';
import { decodeContent, encodeExtent } from '../objects/content-record.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import { encodeEntry } from '../objects/object-entry.ts';
import { insertObject } from '../objects/object-table.ts';
import { decodeLabel } from '../objects/record-label.ts';
import { handleOf } from '../volumes/handle.ts';
import { unusableVolume } from '../volumes/unusable-volume.ts';
import { HEADER_BYTES, type VolumeHeader } from '../volumes/volume-header.ts';
import { ReserveFile } from '../volumes/reserve-file.ts';
import { MACHINE } from '../storage-node.ts';
import { readVolumeHeader, volumeFileName } from '../volumes/volume-set.ts';
import { Volume } from '../volumes/volume.ts';
import { bucketsOf } from './found-buckets.ts';
import { VolumeScan, type FoundObjectRecord } from './volume-scan.ts';

export interface RebuildReport {
  readonly volumes: number;
  readonly buckets: number;
  readonly objects: number;
  /** Objects with a missing extent. */
  readonly lostObjects: number;
  /** Unreadable records, whose headers are valid. */
  readonly damagedRecords: number;
  /**
   * Places where a record was and no valid header is. An object there is lost, or an older version
   * of it is back; a deletion there is undone.
   */
  readonly gaps: number;
  /** The new path of the previous metadata. */
  readonly former: string | undefined;
}

export interface RebuildOptions {
  readonly onProgress?: (progress: {
    readonly phase: 'scan' | 'objects';
    readonly done: number;
    readonly total: number;
  }) => void;
}

/** Number of objects per batch. */
const BATCH_OBJECTS = 500;

/**
 * Rebuilds the metadata of a node from its volumes alone: the record with the highest sequence of
 * each name counts. Incomplete multipart uploads are lost. The last deletes before a crash may be
 * undone, because their marks are written a little later. The last unacknowledged writes may be
 * present. Keeps all versions of all names that the volumes have in memory, about 300 bytes each.
 *
 * @throws NodeRefusedError, also while the node or another rebuild is running; the metadata store's
 *   errors
 */
export async function rebuildIndex(
  directory: string,
  nodeOptions: NodeOptions = {},
  options: RebuildOptions = {},
  environment: NodeEnvironment = MACHINE,
): Promise<RebuildReport> {
  const { files, now, randomBytes } = environment;
  const volumeDirectory = `${directory}/volumes`;
  const headers = await readHeaders(files, volumeDirectory);
  const former = await clearTheWay(files, directory, now());
  const found = {
    nodeId: headers[0]!.nodeId,
    hashKey: randomBytes(16),
    epochMs: 0,
    hashedSince: 0,
  };
  const store = await openEmpty(files, directory);
  try {
    const next = headers.reduce((most, { number }) => Math.max(most, number), 0) + 1;
    const checked = checkedOptions(nodeOptions);
    const scan = await scanAll(store, found, headers, {
      directory: volumeDirectory,
      checked,
      environment,
      options,
    });
    const epochMs = epochOf(scan.earliestMs, scan.latestMs);
    const identity = { ...found, epochMs, hashedSince: scan.highestSequence + 1 };
    await store.put(IDENTITY_KEY, 1n, encodeIdentity(identity));
    await store.put(
      COUNTERS_KEY,
      1n,
      encodeCounters({
        serial: scan.highestSequence + 1,
        nextVolume: next,
        nextBucket: scan.highestBucket + 1,
        nextLeaf: 1,
      }),
    );
    const none = new ReserveFile(files, directory, 0);
    const { parts } = makeParts(store, identity, volumeDirectory, checked, environment, none);
    const report = await publishAll(parts, scan, headers, options);
    await parts.writers.close();
    await parts.volumes.close();
    await store.close();
    await putInPlace(files, directory);
    return { ...report, former };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** @throws NodeRefusedError if another rebuild was faster; the metadata store's errors */
async function openEmpty(files: FileSystem, directory: string): Promise<MetadataStore> {
  try {
    return await MetadataStore.open(rebuildPath(directory), { fileSystem: files });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'LODESTORE_LOCKED') throw rebuildIsRunning();
    throw error;
  }
}

async function readHeaders(files: FileSystem, directory: string): Promise<VolumeHeader[]> {
  const headers: VolumeHeader[] = [];
  for (const number of await volumeFilesIn(files, directory)) {
    const file = await files.open(`${directory}/${volumeFileName(number)}`, 'r');
    try {
      const header = await readVolumeHeader(file);
      if ('reason' in header) throw unusableVolume(number, header);
      if (header.number !== number) throw foreign(number, 'its header has another number');
      headers.push(header);
    } finally {
      await file.close();
    }
  }
  const [first] = headers;
  if (first === undefined) {
    throw new NodeRefusedError('MISSING_VOLUME', 'there is no volume', 'Put the volumes back');
  }
  const other = headers.find(({ nodeId }) => Buffer.compare(nodeId, first.nodeId) !== 0);
  if (other !== undefined)
    throw foreign(other.number, `it is not of the node of volume ${first.number}`);
  return headers;
}

function foreign(number: number, reason: string): NodeRefusedError {
  return new NodeRefusedError(
    'FOREIGN_VOLUME',
    `${volumeFileName(number)} cannot be used: ${reason}`,
    'Move it out of the directory "volumes", and run "lodestore-node rebuild-index" again',
  );
}

interface ScanContext {
  readonly directory: string;
  readonly checked: Required<NodeOptions>;
  readonly environment: NodeEnvironment;
  readonly options: RebuildOptions;
}

async function scanAll(
  store: MetadataStore,
  identity: NodeIdentity,
  headers: readonly VolumeHeader[],
  { directory, checked, environment, options }: ScanContext,
): Promise<VolumeScan> {
  const scan = new VolumeScan();
  const { parts } = makeParts(
    store,
    identity,
    directory,
    checked,
    environment,
    new ReserveFile(environment.files, directory, 0),
  );
  for (const [i, header] of headers.entries()) {
    const volume = volumeOf(header);
    parts.volumes.adopt(volume);
    const { sizeBytes } = await environment.files.stat(parts.volumes.path(header.number));
    await scan.scan(parts.volumes, volume, sizeBytes);
    scan.volumes.push(volume);
    options.onProgress?.({ phase: 'scan', done: i + 1, total: headers.length });
  }
  await parts.volumes.close();
  scan.settle();
  return scan;
}

function volumeOf({ number, kind, bucketId, createdMs }: VolumeHeader): Volume {
  return new Volume({
    number,
    kind,
    bucketId,
    createdMs,
    state: 'sealed',
    liveBytes: 0,
    markBytes: 0,
    endBytes: HEADER_BYTES,
    newestMs: 0,
  });
}

async function publishAll(
  parts: NodeParts,
  scan: VolumeScan,
  headers: readonly VolumeHeader[],
  options: RebuildOptions,
): Promise<Omit<RebuildReport, 'former'>> {
  const { publisher, volumes, names, buckets } = parts;
  for (const volume of scan.volumes) volumes.adopt(volume);
  await publisher.submit((turn) => {
    for (const volume of scan.volumes) turn.touch(volume);
  });
  let objects = 0;
  let lostObjects = 0;
  let done = 0;
  const total = [...scan.names.values()].reduce((sum, all) => sum + all.size, 0);
  for (const bucket of bucketsOf(scan)) {
    const { id } = bucket;
    await publisher.submit((turn) => publishBucket(turn, parts, bucket), { alone: true });
    // In order, so that leaves are filled one after another.
    const all = [...(scan.names.get(id) ?? [])].sort(([one], [other]) =>
      compareByteNames(one, other),
    );
    for (let from = 0; from < all.length; from += BATCH_OBJECTS) {
      const batch = all.slice(from, from + BATCH_OBJECTS);
      const counts = await publisher.submit((turn) =>
        publishBatch(turn, parts, bucket, batch, scan),
      );
      objects += counts.objects;
      lostObjects += counts.lost;
      done += batch.length;
      options.onProgress?.({ phase: 'objects', done, total });
      await names.folds.idle();
    }
  }
  const { damagedRecords, gaps } = scan;
  return {
    volumes: headers.length,
    buckets: buckets.all().length,
    objects,
    lostObjects,
    damagedRecords,
    gaps,
  };
}

function publishBucket(turn: Turn, { buckets, names, volumes }: NodeParts, bucket: Bucket): void {
  turn.put(keyOf('bucket', bucket.id), 1n, encodeBucketRecord(bucket));
  turn.bury(volumes.get(Number(bucket.handle >> 40n)), -bucket.lengthBytes);
  names.addBucket(turn, bucket.id);
  turn.onCommit(() => buckets.add(bucket));
}

function publishBatch(
  turn: Turn,
  parts: NodeParts,
  bucket: Bucket,
  batch: readonly (readonly [ByteName, { readonly object: FoundObjectRecord | undefined }])[],
  scan: VolumeScan,
): { readonly objects: number; readonly lost: number } {
  let objects = 0;
  let lost = 0;
  for (const [name, { object }] of batch) {
    if (object === undefined) continue;
    const isWhole = publishContent(turn, parts, object, scan);
    if (!isWhole) {
      lost++;
      continue;
    }
    objects++;
    publishObject(turn, parts, bucket, name, object);
  }
  return { objects, lost };
}

function publishObject(
  turn: Turn,
  { identity, hash, names, volumes }: NodeParts,
  bucket: Bucket,
  name: ByteName,
  object: FoundObjectRecord,
): void {
  const { etag } = decodeLabel(object.label);
  const nameHash = hash(bucket.id, name);
  const handle = handleOf(object.volume, object.offset);
  insertObject(turn, nameHash, handle, (displacement) =>
    encodeEntry(
      {
        displacement,
        mark: nameHash.mark,
        modifiedMs: object.modifiedMs,
        etag,
        sizeBytes: object.sizeBytes,
        lengthBytes: object.lengthBytes,
        content: contentSerial(object),
      },
      identity.epochMs,
    ),
  );
  names.change(turn, bucket.id, name, true);
  turn.count(bucket, 1, object.sizeBytes);
  turn.bury(volumes.get(object.volume), -object.lengthBytes);
}

/** The serial of the first run, which no other object has. */
function contentSerial({ content, offset }: FoundObjectRecord): number | undefined {
  if (content === undefined) return undefined;
  return decodeContent(content)[0]?.serial ?? offset;
}

/** False if an extent is missing; then nothing was published. */
function publishContent(
  turn: Turn,
  { volumes }: NodeParts,
  object: FoundObjectRecord,
  scan: VolumeScan,
): boolean {
  const { content } = object;
  if (content === undefined) return true;
  const extents = decodeContent(content).flatMap(({ serial, count }) =>
    Array.from({ length: count }, (_, i) => ({
      key: extentKey(serial, i),
      extent: scan.extents.get(`${serial} ${i}`),
    })),
  );
  if (extents.some(({ extent }) => extent === undefined)) return false;
  for (const { key, extent } of extents) {
    turn.put(key, handleOf(extent!.volume, extent!.offset), encodeExtent(extent!));
    turn.bury(volumes.get(extent!.volume), -extent!.lengthBytes);
  }
  turn.put(keyOf('content', contentSerial(object)!), 1n, content);
  return true;
}

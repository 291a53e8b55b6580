import { join } from 'node:path';
import { viewOf } from '../../base/bytes.ts';
import { CorruptionError, systemCode } from '../../base/errors.ts';
import { crc32c } from '../../format/crc.ts';
import { readFully } from '../../fs/file-window.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import { writeFully } from '../../fs/write.ts';
import { LOG_ID_BYTES } from '../log/entry.ts';
import type { LogPlace } from '../log/log-chain.ts';

export const NODE_ID_BYTES = 16;

const POSITION_NAME = 'position';
const TEMPORARY_NAME = 'position.tmp';
const FILE_BYTES = 76;
const FILE_MAGIC: Uint8Array = Uint8Array.of(0xb5, 0x4c, 0x53, 0x50);

const FILE_VERSION_OFFSET = 4;
const FILE_NODE_OFFSET = 8;
const FILE_LOG_OFFSET = 24;
const FILE_POSITION_OFFSET = 40;
const FILE_SEQUENCE_OFFSET = 48;
const FILE_EPOCH_OFFSET = 56;
const FILE_CHECKSUM_OFFSET = 64;
const FILE_CRC_OFFSET = 72;

/** The contents of the file beside a replica's store. docs/FORMAT.md specifies the bytes. */
export interface ReplicaPosition {
  /** Random; created with the directory. */
  readonly nodeId: Uint8Array;
  /** A place that the store has reached. The store's logs have every later group of the store. */
  readonly place: LogPlace;
}

/** Replaces the file of `directory` atomically. Durable when it resolves. */
export async function writePosition(
  fs: FileSystem,
  directory: string,
  position: ReplicaPosition,
): Promise<void> {
  const temporary = join(directory, TEMPORARY_NAME);
  await unlinkIfThere(fs, temporary);
  const file = await fs.open(temporary, 'wx');
  try {
    await writeFully(file, encodePosition(position), 0);
    await file.dataSync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, join(directory, POSITION_NAME));
  await fs.syncDirectory(directory);
}

/** Removes the file of `directory`, if there is one. Durable when it resolves. */
export async function removePosition(fs: FileSystem, directory: string): Promise<void> {
  await unlinkIfThere(fs, join(directory, POSITION_NAME));
  await fs.syncDirectory(directory);
}

/**
 * Reads the file of `directory`; undefined if there is none.
 * @throws CorruptionError
 */
export async function readPosition(
  fs: FileSystem,
  directory: string,
): Promise<ReplicaPosition | undefined> {
  const path = join(directory, POSITION_NAME);
  const bytes = new Uint8Array(FILE_BYTES);
  try {
    const file = await fs.open(path, 'r');
    try {
      await readFully(file, bytes, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  const position = decodePosition(bytes);
  if (position !== undefined) return position;
  const hint = 'Remove the directory: the node is rebuilt from a checkpoint and the shared log.';
  throw new CorruptionError({ path, offset: 0, reason: 'its checksum does not match', hint });
}

function encodePosition({ nodeId, place }: ReplicaPosition): Uint8Array {
  const bytes = new Uint8Array(FILE_BYTES);
  const view = viewOf(bytes);
  bytes.set(FILE_MAGIC);
  bytes[FILE_VERSION_OFFSET] = 1;
  bytes.set(nodeId, FILE_NODE_OFFSET);
  if (place.logId !== undefined) bytes.set(place.logId, FILE_LOG_OFFSET);
  view.setBigUint64(FILE_POSITION_OFFSET, place.position, true);
  view.setBigUint64(FILE_SEQUENCE_OFFSET, place.sequence, true);
  view.setBigUint64(FILE_EPOCH_OFFSET, place.epoch, true);
  view.setUint32(FILE_CHECKSUM_OFFSET, place.checksum, true);
  view.setUint32(FILE_CRC_OFFSET, crc32c(bytes.subarray(0, FILE_CRC_OFFSET)), true);
  return bytes;
}

function decodePosition(bytes: Uint8Array): ReplicaPosition | undefined {
  const view = viewOf(bytes);
  const isValid =
    FILE_MAGIC.every((byte, i) => bytes[i] === byte) &&
    bytes[FILE_VERSION_OFFSET] === 1 &&
    crc32c(bytes.subarray(0, FILE_CRC_OFFSET)) === view.getUint32(FILE_CRC_OFFSET, true);
  if (!isValid) return undefined;
  const position = view.getBigUint64(FILE_POSITION_OFFSET, true);
  const logId = bytes.slice(FILE_LOG_OFFSET, FILE_LOG_OFFSET + LOG_ID_BYTES);
  return {
    nodeId: bytes.slice(FILE_NODE_OFFSET, FILE_NODE_OFFSET + NODE_ID_BYTES),
    place: {
      logId: position === 0n ? undefined : logId,
      position,
      sequence: view.getBigUint64(FILE_SEQUENCE_OFFSET, true),
      epoch: view.getBigUint64(FILE_EPOCH_OFFSET, true),
      checksum: view.getUint32(FILE_CHECKSUM_OFFSET, true),
    },
  };
}

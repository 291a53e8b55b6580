import { createHash } from 'node:crypto';
import type { LogPlace } from '../log/log-chain.ts';
import { CheckpointStoreError } from './checkpoint-store.ts';

/** A piece of a checkpoint's file, named by the SHA-256 of its content. */
export interface CheckpointPiece {
  readonly object: string;
  readonly sizeBytes: number;
}

/** A file of a backup, as pieces. */
export interface CheckpointFile {
  readonly name: string;
  readonly pieces: readonly CheckpointPiece[];
}

/** A complete, verified backup at one place of the shared log. */
export interface CheckpointManifest {
  readonly place: LogPlace & { readonly logId: Uint8Array };
  readonly files: readonly CheckpointFile[];
}

/** A checkpoint that a store lists. */
export interface ListedCheckpoint {
  /** The name of its manifest. */
  readonly name: string;
  readonly position: bigint;
}

export const MANIFEST_PREFIX = 'checkpoints/';

const MANIFEST_NAME = /^checkpoints\/(\d{20})-([0-9a-f]{64})$/;

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The manifest's name contains its position and the SHA-256 of its content. */
export function encodeManifestObject(manifest: CheckpointManifest): {
  readonly name: string;
  readonly bytes: Uint8Array;
} {
  const { place, files } = manifest;
  const text = JSON.stringify({
    format: 1,
    logId: Buffer.from(place.logId).toString('hex'),
    position: String(place.position),
    sequence: String(place.sequence),
    epoch: String(place.epoch),
    checksum: place.checksum,
    files,
  });
  const bytes = new TextEncoder().encode(text);
  const position = String(place.position).padStart(20, '0');
  return { name: `${MANIFEST_PREFIX}${position}-${sha256Hex(bytes)}`, bytes };
}

/** The checkpoint that a manifest's name describes; undefined if it is not such a name. */
export function listedCheckpoint(name: string): ListedCheckpoint | undefined {
  const position = MANIFEST_NAME.exec(name)?.[1];
  return position === undefined ? undefined : { name, position: BigInt(position) };
}

/** @throws CheckpointStoreError `damaged`: the content does not match the name */
export function decodeManifestObject(name: string, bytes: Uint8Array): CheckpointManifest {
  if (MANIFEST_NAME.exec(name)?.[2] !== sha256Hex(bytes)) {
    throw new CheckpointStoreError('damaged', `the content of ${name} does not match its name`);
  }
  const raw = JSON.parse(new TextDecoder().decode(bytes)) as {
    readonly format: number;
    readonly logId: string;
    readonly position: string;
    readonly sequence: string;
    readonly epoch: string;
    readonly checksum: number;
    readonly files: readonly CheckpointFile[];
  };
  if (raw.format !== 1) {
    throw new CheckpointStoreError('damaged', `${name} has format ${raw.format}`);
  }
  const place = {
    logId: new Uint8Array(Buffer.from(raw.logId, 'hex')),
    position: BigInt(raw.position),
    sequence: BigInt(raw.sequence),
    epoch: BigInt(raw.epoch),
    checksum: raw.checksum,
  };
  return { place, files: raw.files };
}

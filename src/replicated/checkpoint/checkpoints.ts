import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { writeFully } from '../../fs/write.ts';
import {
  decodeManifestObject,
  encodeManifestObject,
  listedCheckpoint,
  MANIFEST_PREFIX,
  sha256Hex,
  type CheckpointFile,
  type CheckpointManifest,
  type CheckpointPiece,
  type ListedCheckpoint,
} from './checkpoint-manifest.ts';
import { CheckpointStoreError, type CheckpointStore } from './checkpoint-store.ts';

/** Files are cut into pieces of this many bytes. Unchanged pieces are not uploaded again. */
const PIECE_BYTES: number = 8 * 1024 * 1024;

/** Number of checkpoints to keep: the newest and the one before it. */
const KEPT_CHECKPOINTS = 2;

const OBJECT_PREFIX = 'objects/';

export interface WrittenCheckpoint {
  readonly name: string;
  /** Of the last entry of the shared log that it has. */
  readonly position: bigint;
  /** Total bytes of all files. */
  readonly bytes: number;
  /** Bytes that the checkpoint store did not have yet. */
  readonly uploadedBytes: number;
}

/**
 * The checkpoints of one shard in a checkpoint store.
 *
 * Objects are named by the SHA-256 of their content, below the id of the node that put them.
 * Manifests are named by their position and their own SHA-256. A manifest is put last, after every
 * object has been read back, so a crash at any step leaves the earlier checkpoints complete. A node
 * removes only its own objects, and only between two of its own checkpoints, so it never removes an
 * object that its checkpoint in progress relies on. A restore verifies everything it reads, and
 * starts again with another checkpoint if an object is missing.
 */
export class Checkpoints {
  readonly #store: CheckpointStore;
  readonly #fs: FileSystem;

  constructor(store: CheckpointStore, fs: FileSystem) {
    this.#store = store;
    this.#fs = fs;
  }

  /** All complete checkpoints, newest first. */
  async list(signal: AbortSignal): Promise<ListedCheckpoint[]> {
    const found: ListedCheckpoint[] = [];
    for await (const { name } of this.#store.list(MANIFEST_PREFIX, { signal })) {
      const listed = listedCheckpoint(name);
      if (listed !== undefined) found.push(listed);
    }
    return found.sort((a, b) => Number(b.position - a.position));
  }

  /** @throws CheckpointStoreError */
  async manifest(name: string, signal: AbortSignal): Promise<CheckpointManifest> {
    return decodeManifestObject(name, await this.#get(name, signal));
  }

  /** Uploads the files of a backup, reads new objects back, and puts the manifest. */
  async write(
    backup: string,
    files: readonly string[],
    place: CheckpointManifest['place'],
    nodeId: Uint8Array,
    signal: AbortSignal,
  ): Promise<WrittenCheckpoint> {
    const prefix = `${OBJECT_PREFIX}${Buffer.from(nodeId).toString('hex')}/`;
    const existing = new Map<string, number>();
    for await (const { name, sizeBytes } of this.#store.list(prefix, { signal })) {
      existing.set(name, sizeBytes);
    }
    const upload = { prefix, existing, uploadedBytes: 0, signal };
    const uploaded: CheckpointFile[] = [];
    for (const name of files) {
      uploaded.push({ name, pieces: await this.#upload(join(backup, name), upload) });
    }
    const { name, bytes } = encodeManifestObject({ place, files: uploaded });
    await this.#put(name, bytes, signal);
    const pieces = uploaded.flatMap((file) => file.pieces);
    const totalBytes = pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0);
    const { position } = place;
    return { name, position, bytes: totalBytes, uploadedBytes: upload.uploadedBytes };
  }

  async #upload(
    path: string,
    to: {
      readonly prefix: string;
      readonly existing: Map<string, number>;
      uploadedBytes: number;
      readonly signal: AbortSignal;
    },
  ): Promise<CheckpointPiece[]> {
    const pieces: CheckpointPiece[] = [];
    const file = await this.#fs.open(path, 'r');
    try {
      const { sizeBytes } = await file.stat();
      for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
        const bytes = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes - offset));
        await requireFull(file, bytes, offset, path);
        const object = to.prefix + sha256Hex(bytes);
        pieces.push({ object, sizeBytes: bytes.length });
        if (to.existing.get(object) === bytes.length) continue;
        await this.#put(object, bytes, to.signal);
        const back = await this.#get(object, to.signal);
        if (!equalBytes(back, bytes)) {
          throw new CheckpointStoreError(
            'damaged',
            `the content of ${object} does not match its name`,
          );
        }
        to.existing.set(object, bytes.length);
        to.uploadedBytes += bytes.length;
      }
    } finally {
      await file.close();
    }
    return pieces;
  }

  /** Writes the files of a checkpoint into an existing, empty directory. */
  async download(manifest: CheckpointManifest, target: string, signal: AbortSignal): Promise<void> {
    for (const { name, pieces } of manifest.files) {
      const file = await this.#fs.open(join(target, name), 'wx');
      try {
        let offset = 0;
        for (const { object, sizeBytes } of pieces) {
          const bytes = await this.#get(object, signal);
          const isSame = bytes.length === sizeBytes && object.endsWith(`/${sha256Hex(bytes)}`);
          if (!isSame)
            throw new CheckpointStoreError(
              'damaged',
              `the content of ${object} does not match its name`,
            );
          await writeFully(file, bytes, offset);
          offset += bytes.length;
        }
        await file.dataSync();
      } finally {
        await file.close();
      }
    }
    await this.#fs.syncDirectory(target);
  }

  /**
   * Removes the checkpoints after a position. Objects that only they used are removed by
   * `removeOld` of the nodes that wrote them.
   */
  async removeAfter(position: bigint, signal: AbortSignal): Promise<number> {
    const late = (await this.list(signal)).filter((one) => one.position > position);
    for (const { name } of late) await this.#store.delete(name, { signal });
    return late.length;
  }

  /**
   * Removes all but the newest checkpoints, and the objects of this node that no listed checkpoint
   * uses. Must not run while this node writes a checkpoint.
   */
  async removeOld(nodeId: Uint8Array, signal: AbortSignal): Promise<void> {
    const listed = await this.list(signal);
    for (const { name } of listed.slice(KEPT_CHECKPOINTS)) {
      await this.#store.delete(name, { signal });
    }
    const used = new Set<string>();
    for (const { name } of listed.slice(0, KEPT_CHECKPOINTS)) {
      const { files } = await this.manifest(name, signal);
      for (const { object } of files.flatMap((file) => file.pieces)) used.add(object);
    }
    const prefix = `${OBJECT_PREFIX}${Buffer.from(nodeId).toString('hex')}/`;
    const unused: string[] = [];
    for await (const { name } of this.#store.list(prefix, { signal })) {
      if (!used.has(name)) unused.push(name);
    }
    for (const name of unused) await this.#store.delete(name, { signal });
  }

  async #put(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const read = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes;
    };
    await this.#store.put(name, { sizeBytes: bytes.length, read }, { signal });
  }

  async #get(name: string, signal: AbortSignal): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const part of this.#store.get(name, { signal })) parts.push(part);
    return Buffer.concat(parts);
  }
}

async function requireFull(
  file: OpenFile,
  bytes: Uint8Array,
  offset: number,
  path: string,
): Promise<void> {
  if ((await readFully(file, bytes, offset)) === bytes.length) return;
  throw new Error(`${path} became shorter while it was read`);
}

import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { monotonicMs } from '../../base/timers.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { writeFully } from '../../fs/write.ts';
import {
  decodeManifestObject,
  encodeManifestObject,
  isIntactManifest,
  listedCheckpoint,
  MANIFEST_PREFIX,
  MAX_PIECE_BYTES,
  sha256Hex,
  type CheckpointFile,
  type CheckpointManifest,
  type CheckpointPiece,
  type ListedCheckpoint,
} from './checkpoint-manifest.ts';
import { CheckpointStoreError, type CheckpointStore } from './checkpoint-store.ts';
import { FoundPieces } from './found-pieces.ts';
import {
  FRESH_MS,
  IdleOwners,
  isOwnerOf,
  newOwner,
  OBJECT_PREFIX,
  ownerOf,
  type CheckpointWriter,
} from './object-owners.ts';

/** Files are cut into pieces of this many bytes. Unchanged pieces are not uploaded again. */
const PIECE_BYTES: number = MAX_PIECE_BYTES;

/** Number of checkpoints to keep: the newest and the one before it. */
const KEPT_CHECKPOINTS = 2;

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
 * Objects are named by the SHA-256 of their content, below an owner: the node that put them, and a
 * random number. Manifests are named by their position and their own SHA-256. A manifest is put
 * last, after every object has been read back and listed, so a crash at any step leaves the earlier
 * checkpoints complete. A restore verifies everything it reads, and starts again with another
 * checkpoint if an object is missing.
 *
 * A node continues the owner that a kept checkpoint of it uses, else it begins a new one. Between
 * two of its own checkpoints, it removes its own objects that no kept checkpoint uses, and those of
 * other nodes by the rule of `IdleOwners`. So an object that a checkpoint in progress relies on is
 * not removed, unless the upload takes a day; then the last listing finds it missing.
 */
export class Checkpoints {
  readonly #store: CheckpointStore;
  readonly #fs: FileSystem;
  readonly #nowMs: () => number;
  readonly #idle: IdleOwners;
  /** An owner that no checkpoint uses yet: what was uploaded is not uploaded again. */
  #fresh: { readonly owner: string; readonly sinceMs: number } | undefined;
  /** The log of each manifest that was read, by name: a name has one content. */
  #logs: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(store: CheckpointStore, fs: FileSystem, nowMs: () => number = monotonicMs) {
    this.#store = store;
    this.#fs = fs;
    this.#nowMs = nowMs;
    this.#idle = new IdleOwners(nowMs);
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

  /**
   * The complete checkpoints of a log, newest first. Leaves out manifests whose content is damaged.
   * Two logs must not share a store: each would remove the other's checkpoints.
   * @throws CheckpointStoreError `other-log` if there is a checkpoint of another log
   */
  async listOf(logId: Uint8Array, signal: AbortSignal): Promise<ListedCheckpoint[]> {
    return this.#intact(await this.list(signal), logId, signal);
  }

  async #intact(
    listed: readonly ListedCheckpoint[],
    logId: Uint8Array,
    signal: AbortSignal,
  ): Promise<ListedCheckpoint[]> {
    const logs = new Map<string, Uint8Array>();
    for (const { name } of listed) {
      const found = this.#logs.get(name) ?? (await this.#logOf(name, signal));
      if (found === undefined) continue;
      if (!equalBytes(found, logId)) throw ofOtherLog(name);
      logs.set(name, found);
    }
    this.#logs = logs;
    return listed.filter(({ name }) => logs.has(name));
  }

  /** Undefined if the manifest is damaged, or was removed. */
  async #logOf(name: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array;
    try {
      bytes = await this.#get(name, signal);
    } catch (error) {
      if (error instanceof CheckpointStoreError && error.reason !== 'unavailable') return undefined;
      throw error;
    }
    // A manifest in a newer format is not damaged: its objects are in use.
    return isIntactManifest(name, bytes)
      ? decodeManifestObject(name, bytes).place.logId
      : undefined;
  }

  /** @throws CheckpointStoreError */
  async manifest(name: string, signal: AbortSignal): Promise<CheckpointManifest> {
    return decodeManifestObject(name, await this.#get(name, signal));
  }

  /**
   * Uploads the files of a backup, reads new objects back, and puts the manifest.
   * @throws CheckpointStoreError
   */
  async write(
    backup: string,
    files: readonly string[],
    place: CheckpointManifest['place'],
    writer: CheckpointWriter,
    signal: AbortSignal,
  ): Promise<WrittenCheckpoint> {
    const kept = (await this.listOf(place.logId, signal)).slice(0, KEPT_CHECKPOINTS);
    const prefix = `${OBJECT_PREFIX}${await this.#ownerFor(writer, kept, signal)}/`;
    const existing = await this.#sizesOf(prefix, signal);
    const upload = { prefix, existing, uploadedBytes: 0, signal };
    const uploaded: CheckpointFile[] = [];
    for (const name of files) {
      uploaded.push({ name, pieces: await this.#upload(join(backup, name), upload) });
    }
    const pieces = uploaded.flatMap((file) => file.pieces);
    const found = await this.#sizesOf(prefix, signal);
    const lost = pieces.find(({ object, sizeBytes }) => found.get(object) !== sizeBytes);
    if (lost !== undefined) {
      this.#fresh = undefined;
      const text = `${lost.object} was removed while a checkpoint that needs it was written`;
      throw new CheckpointStoreError('unavailable', text);
    }
    const { name, bytes } = encodeManifestObject({ place, files: uploaded });
    await this.#put(name, bytes, signal);
    const totalBytes = pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0);
    const { position } = place;
    return { name, position, bytes: totalBytes, uploadedBytes: upload.uploadedBytes };
  }

  async #sizesOf(prefix: string, signal: AbortSignal): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    for await (const { name, sizeBytes } of this.#store.list(prefix, { signal })) {
      sizes.set(name, sizeBytes);
    }
    return sizes;
  }

  /** The owner that the newest of the kept checkpoints of this node uses, or a new one. */
  async #ownerFor(
    writer: CheckpointWriter,
    kept: readonly ListedCheckpoint[],
    signal: AbortSignal,
  ): Promise<string> {
    for (const { name } of kept) {
      const manifest = await this.manifest(name, signal).catch((error: unknown) => {
        if (error instanceof CheckpointStoreError && error.reason !== 'unavailable') {
          return undefined;
        }
        throw error;
      });
      const own = objectsOf(manifest).find((object) => {
        const owner = ownerOf(object);
        return owner !== undefined && isOwnerOf(writer.nodeId, owner);
      });
      if (own !== undefined) return ownerOf(own)!;
    }
    const now = this.#nowMs();
    const fresh = this.#fresh;
    const isFresh =
      fresh !== undefined &&
      isOwnerOf(writer.nodeId, fresh.owner) &&
      now - fresh.sinceMs < FRESH_MS;
    if (isFresh) return fresh.owner;
    this.#fresh = { owner: newOwner(writer), sinceMs: now };
    return this.#fresh.owner;
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

  /**
   * Writes the files of a checkpoint into an existing, empty directory. Fetches no piece that was
   * found before.
   * @throws CheckpointStoreError
   */
  async download(
    manifest: CheckpointManifest,
    target: string,
    signal: AbortSignal,
    found: FoundPieces = new FoundPieces(this.#fs),
  ): Promise<void> {
    for (const { name, pieces } of manifest.files) {
      const path = join(target, name);
      const file = await this.#fs.open(path, 'wx');
      try {
        let offset = 0;
        for (const piece of pieces) {
          const bytes = (await found.read(piece)) ?? (await this.#fetch(piece, signal));
          await writeFully(file, bytes, offset);
          found.add(piece, path, offset);
          offset += bytes.length;
        }
        await file.dataSync();
      } finally {
        await file.close();
      }
    }
    await this.#fs.syncDirectory(target);
  }

  async #fetch({ object, sizeBytes }: CheckpointPiece, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#get(object, signal, sizeBytes);
    if (bytes.length === sizeBytes && object.endsWith(`/${sha256Hex(bytes)}`)) return bytes;
    throw new CheckpointStoreError('damaged', `the content of ${object} does not match its name`);
  }

  /**
   * Removes the checkpoints after a position. Objects that only they used are removed by
   * `removeOld`.
   */
  async removeAfter(position: bigint, signal: AbortSignal): Promise<number> {
    const late = (await this.list(signal)).filter((one) => one.position > position);
    for (const { name } of late) await this.#store.delete(name, { signal });
    return late.length;
  }

  /**
   * Removes all but the newest checkpoints of a log, the objects of this node that none of these
   * uses, and those of nodes that are gone. Must not run while this node writes a checkpoint.
   * @throws CheckpointStoreError
   */
  async removeOld(nodeId: Uint8Array, logId: Uint8Array, signal: AbortSignal): Promise<void> {
    const listed = await this.list(signal);
    // All are read again: one may have been damaged since.
    this.#logs = new Map();
    const kept = (await this.#intact(listed, logId, signal)).slice(0, KEPT_CHECKPOINTS);
    const isEnough = kept.length === KEPT_CHECKPOINTS;
    const end = isEnough ? listed.indexOf(kept.at(-1)!) + 1 : listed.length;
    for (const { name } of listed.slice(end)) await this.#store.delete(name, { signal });
    // A newer manifest was read damaged. If it is good after all, its objects are in use.
    if (kept.length < end) return;
    const used = new Set<string>();
    for (const { name } of kept) {
      for (const object of objectsOf(await this.manifest(name, signal))) used.add(object);
    }
    const owned = new Map<string, string[]>();
    for await (const { name } of this.#store.list(OBJECT_PREFIX, { signal })) {
      const owner = ownerOf(name);
      if (owner === undefined) continue;
      const names = owned.get(owner);
      if (names === undefined) owned.set(owner, [name]);
      else names.push(name);
    }
    const unused: string[] = [];
    for (const [owner, names] of owned) {
      const isOwn = isOwnerOf(nodeId, owner);
      if (isOwn) unused.push(...names.filter((name) => !used.has(name)));
      if (isOwn || names.some((name) => used.has(name))) owned.delete(owner);
    }
    unused.push(...this.#idle.take(owned));
    for (const name of unused) await this.#store.delete(name, { signal });
  }

  async #put(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const read = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes;
    };
    await this.#store.put(name, { sizeBytes: bytes.length, read }, { signal });
  }

  /** The content of an object. Reads little more than `limitBytes`: then it is damaged. */
  async #get(name: string, signal: AbortSignal, limitBytes = Infinity): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let lengthBytes = 0;
    for await (const part of this.#store.get(name, { signal })) {
      parts.push(part);
      lengthBytes += part.length;
      if (lengthBytes > limitBytes) break;
    }
    return Buffer.concat(parts);
  }
}

export function ofOtherLog(name: string): CheckpointStoreError {
  const text = `${name} is a checkpoint of another log: each log needs a directory, or a prefix, of its own`;
  return new CheckpointStoreError('other-log', text);
}

function objectsOf(manifest: CheckpointManifest | undefined): string[] {
  const pieces = manifest?.files.flatMap((file) => file.pieces) ?? [];
  return pieces.map(({ object }) => object);
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

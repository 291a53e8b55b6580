import type { FileSystem } from 'lodestore/fs';
import { textOfBytes } from './byte-text.ts';
import { removeLeftovers } from './ledger/metadata-directory.ts';
import { NodeRefusedError, NoSpaceError } from './node-errors.ts';
import type { NodeParts } from './objects/node-parts.ts';
import { HolePuncher } from './upkeep/hole-puncher.ts';
import { Liveness } from './upkeep/liveness.ts';
import type { Volume } from './volumes/volume.ts';

/** With so much free, a node opens, and records deletes that give more space back. */
const OPEN_BYTES = 2 ** 20;

export interface OpeningRoomOptions {
  readonly parts: NodeParts;
  /** Of the node. */
  readonly directory: string;
  /** Volumes without live data, which are removed at this open. */
  readonly gone: ReadonlySet<Volume>;
  readonly onNotice: (text: string) => void;
}

/**
 * Space for the first changes of an open, on a full disk whose reserve file is used up. Frees what
 * needs no change of the metadata: leftovers of rebuilds, files of removed volumes, and then, one
 * volume after another, the bodies of dead records where they stand. Buckets must be loaded, tails
 * cut, and nothing may write or read volumes yet.
 */
export class OpeningRoom {
  readonly #options: OpeningRoomOptions;
  readonly #steps: AsyncGenerator<void, void>;

  constructor(options: OpeningRoomOptions) {
    this.#options = options;
    this.#steps = this.#free();
  }

  /** Repeats a change until there is space for it. @throws NoSpaceError if nothing more is dead */
  async make<T>(change: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await change();
      } catch (error) {
        // Another program may take what a step frees, so each step is tried.
        if (!(error instanceof NoSpaceError) || (await this.#steps.next()).done === true) {
          throw error;
        }
      }
    }
  }

  /** Frees what can be freed until so much is free. */
  async until(freeBytes: number): Promise<void> {
    const { files, directory } = this.#options.parts.volumes;
    while ((await files.freeBytes(directory)) < freeBytes) {
      if ((await this.#steps.next()).done === true) return;
    }
  }

  async *#free(): AsyncGenerator<void, void> {
    const { parts, directory, gone, onNotice } = this.#options;
    const { volumes, now } = parts;
    onNotice('the disk is full: dead bytes of the volumes are freed before the node opens');
    await removeLeftovers(volumes.files, directory, now());
    // Their entries say already that they are removed.
    for (const volume of gone) await volumes.removeFile(volume.number);
    yield;
    const puncher = new HolePuncher(parts, new Liveness(parts), new AbortController().signal);
    for (const isWritten of [false, true]) {
      // Another volume is begun for those that were written.
      for (const one of isWritten ? volumes : []) if (one.state === 'active') one.state = 'sealed';
      yield* punchAll(puncher);
    }
  }
}

async function* punchAll(puncher: HolePuncher): AsyncGenerator<void, void> {
  const passed = new Set<Volume>();
  for (;;) {
    const volume = puncher.next(passed);
    if (volume === undefined) return;
    passed.add(volume);
    await puncher.punch(volume);
    yield;
  }
}

/** What an open that failed for `error` says: how much space is missing, and what to do. */
export async function openingError(
  error: unknown,
  files: FileSystem,
  directory: string,
): Promise<unknown> {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code !== 'LODESTORE_FULL' && !(error instanceof NoSpaceError)) return error;
  const freeBytes = await files.freeBytes(directory).catch(() => 0);
  return new NodeRefusedError(
    'NO_SPACE',
    `the disk is full: the node may need ${textOfBytes(OPEN_BYTES)} to open, and ` +
      `${textOfBytes(freeBytes)} are free in ${directory}. Its reserve is used up, and it could ` +
      'free nothing in its volumes',
    'Remove or move files of other programs on this file system, none of the node, or make the ' +
      'file system larger. If bytes are free, it has no free inodes: remove files. Then start the ' +
      'node, and delete objects',
    { cause: error },
  );
}

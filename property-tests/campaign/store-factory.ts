import type { StoreDurability } from '../../src/index.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import type { StoreEnvironment } from '../../src/store/open/environment.ts';
import { openStoreIn, type MetadataStore } from '../../src/store/metadata-store.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { Clock } from './clock.ts';

const DIRECTORY = '/s';

const IDENTITY = {
  pid: 1,
  processStartTicks: 1,
  bootId: 'simulated',
  machineId: 'simulated',
  hostName: 'simulated',
};

export interface StoreSizes {
  readonly rotateBytes: number;
  readonly mergeBytes: number;
  readonly reserveBytes: number;
  readonly durability?: StoreDurability;
  /** Default `background`. */
  readonly commits?: 'background' | 'inline';
  /** Whether it notes for followers, after each commit, what is durable. */
  readonly isFollowed?: boolean;
  /** Runs between two slices of the store's work. Default: nothing. */
  readonly pause?: () => Promise<void>;
}

/** Sizes for stores that are only inspected: no automatic merge or rotation. */
export const QUIET_SIZES: StoreSizes = {
  rotateBytes: 64 * 1024 * 1024,
  mergeBytes: 2 ** 40,
  reserveBytes: 512,
};

/** The layer between a store and its disk: nothing, or a planted mistake. */
export type FaultyFileSystem = (fileSystem: FileSystem) => FileSystem;

/**
 * Opens the stores of a campaign, all in the same directory, with the same planted mistake if any.
 */
export class StoreFactory {
  readonly directory: string = DIRECTORY;
  readonly #makeFaulty: FaultyFileSystem;

  constructor(makeFaulty: FaultyFileSystem = (fileSystem) => fileSystem) {
    this.#makeFaulty = makeFaulty;
  }

  open(
    machine: FileSystem,
    sizes: StoreSizes = QUIET_SIZES,
    clock: Clock = new Clock(),
  ): Promise<MetadataStore> {
    const { mergeBytes, durability = 'sync', commits = 'background' } = sizes;
    const environment = this.#environment(machine, sizes, clock);
    return openStoreIn(environment, DIRECTORY, { mergeBytes, durability, commits });
  }

  /** Opens the store read-only, as another process would. */
  read(machine: FileSystem): Promise<MetadataStore> {
    const environment = this.#environment(machine, QUIET_SIZES, new Clock());
    return openStoreIn(environment, DIRECTORY, { readOnly: true });
  }

  /** Opens the store to follow its writer. It looks only when it is told to. */
  follow(machine: FileSystem): Promise<MetadataStore> {
    const environment = this.#environment(machine, QUIET_SIZES, new Clock());
    return openStoreIn(environment, DIRECTORY, { readOnly: true, follow: { everyMs: 3_600_000 } });
  }

  #environment(machine: FileSystem, sizes: StoreSizes, clock: Clock): StoreEnvironment {
    const { rotateBytes, reserveBytes, isFollowed = false } = sizes;
    const { pause = () => Promise.resolve() } = sizes;
    return {
      fileSystem: this.#makeFaulty(machine),
      makeRunner: (held) => new InlineRunner(held),
      pause,
      sliceMs: 0,
      identity: () => Promise.resolve(IDENTITY),
      randomBytes: (lengthBytes) => new Uint8Array(lengthBytes).fill(0x5a),
      ownerStamp: { nonce: 'simulated', openedAtMs: 0 },
      startTimer: (delayMs, ring) => (delayMs === 0 ? soon(ring) : clock.start(ring)),
      ...(isFollowed && { noteEveryMs: 0 }),
      sizes: { rotateBytes, reserveBytes },
    };
  }
}

/** Of a timer without a delay: the next note. */
function soon(ring: () => void): () => void {
  const turn = setImmediate(ring);
  return () => clearImmediate(turn);
}

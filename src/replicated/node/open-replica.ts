import { join } from 'node:path';
import { assert } from '../../base/assert.ts';
import { StoreClosedError, StorePoisonedError, type StoreError } from '../../base/errors.ts';
import type { CommitGate, ReplicaAccess, SharedGroup } from '../../store/commit/commit-gate.ts';
import type { QueuedBatch } from '../../store/batch/batch-queue.ts';
import type { MetadataStore } from '../../store/metadata-store.ts';
import type { OpenOptions } from '../../store/open/options.ts';
import { checksumOfEntry } from '../log/entry.ts';
import { LogChain, type ChainStep, type CompleteGroup, type LogPlace } from '../log/log-chain.ts';
import { LogLostError } from '../log/log-errors.ts';
import { backoffMs } from './appender.ts';
import { decodeShared, LocalGroups } from './local-groups.ts';
import { Marks } from './marks.ts';
import { Signal } from './signal.ts';
import { readPosition, writePosition, type ReplicaPosition } from './position-file.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';

/** Controls the commits of a replica's store. */
export interface CommitHost {
  refusal(): StoreError | undefined;
  confirm(): Promise<StoreError | undefined>;
  append(group: SharedGroup): Promise<StoreError | undefined>;
  /** Called when more entries are visible. */
  reached(): void;
}

const STORE_NAME = 'store';

/** The position file is rewritten after this many groups or bytes. */
const SAVE_GROUPS = 8_192;
const SAVE_BYTES: number = 16 * 1024 * 1024;

/** Path of the store in a generation's directory. */
export function storePath(directory: string): string {
  return join(directory, STORE_NAME);
}

/**
 * A store that has a prefix of a shared log, and the place that it has reached. Entries are taken
 * in order, one call at a time: entries of other nodes by `take`, entries of this node by `takeOwn`
 * during a commit.
 */
export class OpenReplica implements CommitGate {
  readonly directory: string;
  readonly nodeId: Uint8Array;
  readonly chain: LogChain;
  readonly #environment: ReplicaEnvironment;
  readonly #host: CommitHost;
  readonly #marks: Marks;
  #store: MetadataStore | undefined;
  #access: ReplicaAccess | undefined;
  #local: LocalGroups = new LocalGroups();
  /** All entries up to this place are visible. */
  #place: LogPlace;
  /**
   * The place after the group that is being written here and after the entries that this node has
   * appended since. They become visible together.
   */
  #next: LogPlace | undefined;
  #saved: LogPlace;
  #saving: Promise<void> = Promise.resolve();
  #bytesSinceSave = 0;
  /** The number of users of marks that a save would drop. */
  #pins = 0;
  #isAnchored: boolean;
  #blockedBy: Error | undefined;
  readonly #verified: Signal = new Signal();

  private constructor(
    environment: ReplicaEnvironment,
    directory: string,
    { nodeId, place }: ReplicaPosition,
    host: CommitHost,
  ) {
    this.#environment = environment;
    this.directory = directory;
    this.nodeId = nodeId;
    this.chain = new LogChain(place);
    this.#marks = new Marks(place);
    this.#place = place;
    this.#saved = place;
    this.#isAnchored = place.position === 0n;
    this.#host = host;
  }

  /**
   * Opens the store of a generation; undefined if the generation is unfinished. Throws the errors
   * of `MetadataStore.open`, and LogLostError if the store is behind the place in its position
   * file.
   */
  static async open(
    environment: ReplicaEnvironment,
    directory: string,
    options: OpenOptions,
    host: CommitHost,
  ): Promise<OpenReplica | undefined> {
    const position = await readPosition(environment.fileSystem, directory);
    if (position === undefined) return undefined;
    const replica = new OpenReplica(environment, directory, position, host);
    replica.#store = await environment.openStore(storePath(directory), options, replica);
    try {
      const { sequence, position: at } = position.place;
      const access = replica.access;
      if (access.lastSequence < sequence) {
        const reason = `the store ends at sequence ${access.lastSequence}, not ${sequence}`;
        throw new LogLostError({ position: at, reason });
      }
      replica.#local = await LocalGroups.read(access.groupsAfter(sequence));
      if (replica.isVerified) replica.#verified.resolve();
    } catch (error) {
      await replica.#store.close();
      throw error;
    }
    return replica;
  }

  get store(): MetadataStore {
    return this.#store!;
  }

  get access(): ReplicaAccess {
    return this.#access!;
  }

  /** All entries up to this place are visible. */
  get place(): LogPlace {
    return this.#place;
  }

  /** True while a group that the shared log has is being written here. */
  get isWriting(): boolean {
    return this.#next !== undefined;
  }

  /** Why the next group of the shared log cannot be written here for now; undefined if it can. */
  get blockedBy(): Error | undefined {
    return this.#blockedBy;
  }

  /** True if all groups that the store had at the open have been found in the shared log. */
  get isVerified(): boolean {
    return this.#local.areVerified;
  }

  /** True if the log's entry at the place of the open has been compared, or was trimmed. */
  get isAnchored(): boolean {
    return this.#isAnchored;
  }

  /**
   * Compares the last applied entry with the log's. Otherwise the store would continue a log that
   * lost its end and then grew to the same length. `undefined`: the entry was trimmed.
   * @throws LogLostError
   */
  anchor(bytes: Uint8Array | undefined): void {
    const { position, checksum } = this.chain.place;
    if (bytes !== undefined && checksumOfEntry(bytes) !== checksum) {
      throw new LogLostError({ position, reason: 'it has another entry than the store applied' });
    }
    this.#isAnchored = true;
  }

  /**
   * Applies an entry that was read from the log, while no group is being written. An exception
   * means that the replica cannot continue.
   */
  async take(position: bigint, bytes: Uint8Array, signal: AbortSignal): Promise<ChainStep> {
    assert(!this.isWriting, 'a group is visible before the next entry is read');
    const step = this.chain.take(position, bytes);
    if (step.kind === 'group') await this.#takeGroup(position, step.group, signal);
    else if (step.kind !== 'piece' && step.kind !== 'repaired') this.#reach(this.chain.groupEnd);
    return step;
  }

  /**
   * Takes an entry that this node has appended, before its group is written here. A barrier or a
   * takeover is appended also while the group before it is being written.
   */
  takeOwn(position: bigint, bytes: Uint8Array): void {
    const { kind } = this.chain.take(position, bytes);
    this.#bytesSinceSave += bytes.length;
    if (kind === 'piece') return;
    if (kind === 'group' || this.isWriting) this.#next = this.chain.groupEnd;
    else this.#reach(this.chain.groupEnd);
  }

  async #takeGroup(position: bigint, group: CompleteGroup, signal: AbortSignal): Promise<void> {
    const rows = decodeShared(position, group);
    if (group.lastSequence <= this.access.lastSequence) {
      this.#local.compare(position, group.firstSequence, rows);
      this.#reach(this.chain.groupEnd);
      if (this.isVerified) this.#verified.resolve();
      return;
    }
    if (!this.isVerified || group.firstSequence !== this.access.lastSequence + 1n) {
      const reason = `its group with sequence ${group.firstSequence} does not continue the store`;
      throw new LogLostError({ position, reason });
    }
    this.#next = this.chain.groupEnd;
    const { codec, payload } = group;
    const { decoded, hasIntervals } = rows;
    const arrived = { ...group, decoded, hasIntervals, stored: { codec, payload } };
    this.#bytesSinceSave += payload.length;
    for (let attempt = 0; ; attempt++) {
      try {
        await this.access.apply(arrived);
        this.#blockedBy = undefined;
        return;
      } catch (error) {
        if (error instanceof StorePoisonedError) throw error;
        this.#blockedBy = error as Error;
        await this.#environment.clock.sleep(backoffMs(attempt), signal);
      }
    }
  }

  #reach(place: LogPlace): void {
    this.#place = place;
    this.#marks.add(place);
    this.#host.reached();
    const isLong = this.#marks.count >= SAVE_GROUPS || this.#bytesSinceSave >= SAVE_BYTES;
    if (isLong) this.#saveSoon();
  }

  /**
   * The log begins at `first`. Saves the place if the log was trimmed past the saved one, so that
   * the next open need not restore a checkpoint.
   */
  noteFirst(first: bigint): void {
    if (first > this.#saved.position + 1n) this.#saveSoon();
  }

  /** Makes all that the store has durable, and saves its place. */
  async savePlace(): Promise<void> {
    await this.store.sync();
    await this.#save(this.access.lastSyncedSequence);
  }

  /** A failed save is retried when more groups have arrived. */
  #saveSoon(): void {
    this.#bytesSinceSave = 0;
    this.#save(this.access.lastSyncedSequence).catch(() => undefined);
  }

  /** Writes the place of a sequence, which must be durable here, to the position file. */
  #save(sequence: bigint): Promise<void> {
    const saving = this.#saving.then(async () => {
      if (sequence < this.#saved.sequence) return;
      const place = this.#marks.at(sequence);
      if (place.position <= this.#saved.position) return;
      const { fileSystem } = this.#environment;
      await writePosition(fileSystem, this.directory, { nodeId: this.nodeId, place });
      this.#saved = place;
      if (this.#pins === 0) this.#marks.forgetBefore(place);
    });
    this.#saving = saving.catch(() => undefined);
    return saving;
  }

  /** Runs `work`, which may request the place of each sequence that is reached meanwhile. */
  async withMarks<T>(work: (placeAt: (sequence: bigint) => LogPlace) => Promise<T>): Promise<T> {
    this.#pins++;
    try {
      return await work((sequence) => this.#marks.at(sequence));
    } finally {
      this.#pins--;
    }
  }

  async close(): Promise<void> {
    // A merge may wait for this.
    this.#verified.reject(new StoreClosedError());
    await this.#saving;
    await this.store.close();
  }

  attach(access: ReplicaAccess): void {
    this.#access = access;
  }

  refusal(group: readonly QueuedBatch[]): StoreError | undefined {
    const writes = group.some(({ packed }) => packed !== undefined && packed.recordCount > 0);
    return writes ? this.#host.refusal() : undefined;
  }

  confirm(): Promise<StoreError | undefined> {
    return this.#host.confirm();
  }

  append(group: SharedGroup): Promise<StoreError | undefined> {
    return this.#host.append(group);
  }

  shown(): void {
    const next = this.#next;
    if (next === undefined) return;
    this.#next = undefined;
    this.#reach(next);
  }

  async beforeRemoval(lastSequence: bigint): Promise<void> {
    await this.#verified.wait();
    await this.#save(lastSequence);
  }
}

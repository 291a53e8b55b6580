import type { BucketPolicy } from '../ledger/bucket-record.ts';
import type { NodeFigures } from '../node-figures.ts';
import type { BucketDetails } from '../objects/bucket-keeper.ts';
import type { Recount } from '../upkeep/recount.ts';
import type { ScrubReport } from '../upkeep/scrubber.ts';
import type { UploadSpace } from '../upload-space.ts';

export interface StatusReport extends NodeFigures {
  readonly uploadSpace: UploadSpace;
}

/** Progress of the work on one volume. */
export interface Progress {
  readonly what: 'compacting' | 'scrubbing';
  readonly volume: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export type Tell = (progress: Progress) => void;

export interface CompactReport {
  /** That were emptied. */
  readonly volumes: number;
  readonly rescuedRecords: number;
  readonly reclaimedBytes: number;
}

export interface VerifyReport {
  readonly isSound: boolean;
  readonly recount: Recount;
  /** Undefined if names changed during the listing. */
  readonly listed?: number;
  readonly scrub: ScrubReport;
}

/** An access key with its secret. */
export interface NodeKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Commands on the access keys. A change is durable and in effect when it resolves. */
export interface KeyCommands {
  listKeys(): Promise<readonly NodeKey[]>;
  addKey(): Promise<NodeKey>;
  /** False: there is no such key. */
  removeKey(accessKeyId: string): Promise<boolean>;
}

/** The commands of a node, whether it runs in this process or in another. */
export interface NodeCommands {
  status(): Promise<StatusReport>;
  buckets(): Promise<readonly BucketDetails[]>;
  /** False if it already exists. */
  createBucket(name: string, policy: BucketPolicy): Promise<boolean>;
  compact(tell: Tell): Promise<CompactReport>;
  /** `bytesPerSecond` 0: unlimited. `signal` ends it early: the call rejects with its reason. */
  scrub(bytesPerSecond: number, tell: Tell, signal?: AbortSignal): Promise<ScrubReport>;
  /** The number of the dropped volume; undefined if none can be dropped. */
  evict(bucket: string): Promise<number | undefined>;
  /** Recounts, lists all names, and reads all live data. `signal`: as of `scrub`. */
  verify(tell: Tell, signal?: AbortSignal): Promise<VerifyReport>;
}

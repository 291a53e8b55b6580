import { createHash, type Hash } from 'node:crypto';
import { digestAtOnce } from '../base/digest.ts';
import { type ChecksumAlgorithm, type RunningChecksum, startChecksum } from './checksums.ts';

export interface BodyDigests {
  readonly sizeBytes: number;
  readonly md5: Buffer;
  /** Only if requested. */
  readonly sha256?: Buffer;
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, Buffer>;
}

/** These take a small part of the time of the others. */
const FAST: ReadonlySet<ChecksumAlgorithm> = new Set(['CRC32', 'CRC32C']);
const NOTHING = new Uint8Array();

/** All digests that are computed while a body passes. */
export class BodyDigest {
  readonly #hasSha256: boolean;
  readonly #checksums: [ChecksumAlgorithm, RunningChecksum][];
  /** Number of digests whose time counts for the length of a turn of the event loop. */
  readonly slowDigests: number;
  /** The only piece so far: a whole body is digested with less work than one in pieces. */
  #only: Uint8Array = NOTHING;
  #hashes: { readonly md5: Hash; readonly sha256: Hash | undefined } | undefined;
  #sizeBytes = 0;

  constructor(options: {
    readonly sha256: boolean;
    readonly algorithms: readonly ChecksumAlgorithm[];
  }) {
    this.#hasSha256 = options.sha256;
    this.#checksums = options.algorithms.map((name) => [name, startChecksum(name)]);
    const slow = options.algorithms.filter((name) => !FAST.has(name));
    this.slowDigests = 1 + Number(options.sha256) + slow.length;
  }

  /** The bytes must stay as they are until the next call. */
  update(bytes: Uint8Array): void {
    for (const [, checksum] of this.#checksums) checksum.update(bytes);
    if (this.#sizeBytes === 0) this.#only = bytes;
    else this.#hash(bytes);
    this.#sizeBytes += bytes.length;
  }

  #hash(bytes: Uint8Array): void {
    if (this.#hashes === undefined) {
      const sha256 = this.#hasSha256 ? createHash('sha256').update(this.#only) : undefined;
      this.#hashes = { md5: createHash('md5').update(this.#only), sha256 };
      this.#only = NOTHING;
    }
    this.#hashes.md5.update(bytes);
    this.#hashes.sha256?.update(bytes);
  }

  /** Called once. */
  async finish(): Promise<BodyDigests> {
    const checksums = new Map<ChecksumAlgorithm, Buffer>();
    for (const [name, checksum] of this.#checksums) checksums.set(name, await checksum.digest());
    const sizeBytes = this.#sizeBytes;
    const digest = (name: 'md5' | 'sha256'): Buffer =>
      this.#hashes?.[name]?.digest() ?? digestAtOnce(name, this.#only);
    const md5 = digest('md5');
    if (!this.#hasSha256) return { sizeBytes, md5, checksums };
    return { sizeBytes, md5, checksums, sha256: digest('sha256') };
  }
}

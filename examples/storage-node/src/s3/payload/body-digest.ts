import { createHash, type Hash } from 'node:crypto';
import { type ChecksumAlgorithm, type RunningChecksum, startChecksum } from './checksums.ts';

export interface BodyDigests {
  readonly sizeBytes: number;
  readonly md5: Buffer;
  /** Only if requested. */
  readonly sha256?: Buffer;
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, Buffer>;
}

/** All digests that are computed while a body passes. */
export class BodyDigest {
  readonly #md5: Hash = createHash('md5');
  readonly #sha256: Hash | undefined;
  readonly #checksums: [ChecksumAlgorithm, RunningChecksum][];
  #sizeBytes = 0;

  constructor(options: {
    readonly sha256: boolean;
    readonly algorithms: readonly ChecksumAlgorithm[];
  }) {
    this.#sha256 = options.sha256 ? createHash('sha256') : undefined;
    this.#checksums = options.algorithms.map((name) => [name, startChecksum(name)]);
  }

  update(bytes: Uint8Array): void {
    this.#sizeBytes += bytes.length;
    this.#md5.update(bytes);
    this.#sha256?.update(bytes);
    for (const [, checksum] of this.#checksums) checksum.update(bytes);
  }

  /** Called once. */
  async finish(): Promise<BodyDigests> {
    const checksums = new Map<ChecksumAlgorithm, Buffer>();
    for (const [name, checksum] of this.#checksums) checksums.set(name, await checksum.digest());
    const sha256 = this.#sha256?.digest();
    return {
      sizeBytes: this.#sizeBytes,
      md5: this.#md5.digest(),
      checksums,
      ...(sha256 !== undefined && { sha256 }),
    };
  }
}

import { NodeError } from '../node-errors.ts';
import { BLOCK_BYTES } from './block-table.ts';

type Binding = typeof import('zstd-napi/binding.js');

/** About 0.2 ms for a block. Higher levels gain little in blocks of this length. */
const LEVEL = 1;
/**
 * A compressed block must save this share: less frees no block of the disk, and costs time whenever
 * it is read.
 */
const LEAST_GAIN = 16;

/**
 * Compresses and decompresses blocks. Contexts are reused: a new one costs more than a small block.
 * All calls are synchronous, so each has them for itself.
 */
export class Zstd {
  readonly #compressor: InstanceType<Binding['CCtx']>;
  readonly #decompressor: InstanceType<Binding['DCtx']>;
  readonly #source: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readonly #compressed: Buffer;

  constructor(binding: Binding) {
    this.#compressor = new binding.CCtx();
    this.#compressor.setParameter(binding.CParameter.compressionLevel, LEVEL);
    this.#decompressor = new binding.DCtx();
    this.#compressed = Buffer.allocUnsafeSlow(binding.compressBound(BLOCK_BYTES));
  }

  /** The frame of a block in slices; undefined if the block should be stored as it is. */
  compress(slices: readonly Uint8Array[], blockBytes: number): Uint8Array | undefined {
    const block = slices.length === 1 ? slices[0]! : this.#joined(slices, blockBytes);
    const length = this.#compressor.compress2(this.#compressed, block);
    if (length > blockBytes - Math.ceil(blockBytes / LEAST_GAIN)) return undefined;
    return Uint8Array.prototype.slice.call(this.#compressed, 0, length);
  }

  #joined(slices: readonly Uint8Array[], blockBytes: number): Buffer {
    let at = 0;
    for (const slice of slices) {
      this.#source.set(slice, at);
      at += slice.length;
    }
    return this.#source.subarray(0, blockBytes);
  }

  /**
   * Content of `contentBytes`; undefined if the frame has other content. Never allocates more than
   * that, whatever the frame declares.
   */
  decompress(frame: Uint8Array, contentBytes: number): Buffer | undefined {
    const content = Buffer.allocUnsafe(contentBytes);
    try {
      const length = this.#decompressor.decompress(content, frame);
      return length === contentBytes ? content : undefined;
    } catch {
      return undefined;
    }
  }
}

let loaded: Promise<Zstd> | undefined;

/** Loads the library at the first use. @throws NodeError `NO_ZSTD` */
export function loadZstd(): Promise<Zstd> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Zstd> {
  try {
    const { default: binding } = await import('zstd-napi/binding.js');
    return new Zstd(binding);
  } catch (cause) {
    const message =
      'the native part of zstd-napi cannot be loaded, which compressed buckets need: ' +
      'its install script did not run ("npm rebuild zstd-napi"), or it does not fit this platform';
    throw new NodeError('NO_ZSTD', message, { cause });
  }
}

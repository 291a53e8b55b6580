import type { EtcdAnswer } from './etcd-endpoint.ts';

/** A key with its value in the gateway's encoding: bytes are base64. */
export interface EtcdPair {
  readonly key: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision?: string;
  readonly lease?: string;
}

export interface EtcdRange extends EtcdAnswer {
  readonly kvs?: readonly EtcdPair[];
  /** Number of pairs in the range, including those beyond the limit. */
  readonly count?: string;
}

export interface EtcdTransaction extends EtcdAnswer {
  readonly succeeded?: boolean;
  readonly responses?: readonly {
    readonly response_range?: EtcdRange;
    readonly response_delete_range?: { readonly deleted?: string };
  }[];
}

export function base64Of(bytes: Uint8Array | string): string {
  const buffer =
    typeof bytes === 'string'
      ? Buffer.from(bytes)
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString('base64');
}

/** The bytes of a base64 text, in their own buffer. */
export function bytesOf(base64: string | undefined): Uint8Array {
  const text = base64 ?? '';
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = Buffer.allocUnsafeSlow((text.length / 4) * 3 - padding);
  bytes.write(text, 'base64');
  return new Uint8Array(bytes.buffer);
}

/** The keys of one log: entry p is at `prefix` plus p in 16 hexadecimal digits, so in key order. */
export class LogKeys {
  readonly #prefix: string;
  readonly start: string;
  /** The end of the key range, exclusive. */
  readonly end: string;

  constructor(prefix: string, name: string) {
    this.#prefix = `${prefix}log/${name}/`;
    this.start = base64Of(this.#prefix);
    this.end = base64Of(`${prefix}log/${name}0`);
  }

  of(position: bigint): string {
    return base64Of(this.#prefix + position.toString(16).padStart(16, '0'));
  }

  positionOf(key: string): bigint {
    return BigInt(`0x${Buffer.from(key, 'base64').toString('latin1').slice(-16)}`);
  }
}

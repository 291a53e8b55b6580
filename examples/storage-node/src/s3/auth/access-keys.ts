import { createHmac, type KeyObject, createSecretKey } from 'node:crypto';

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Keys are derived once per day, region and access key; the oldest are dropped. */
const MAX_DERIVED = 256;

/** The access keys of a server, and the keys that SigV4 derives from them. */
export class AccessKeys {
  #secrets: ReadonlyMap<string, string>;
  readonly #derived = new Map<string, KeyObject>();

  /** @throws RangeError */
  constructor(keys: readonly AccessKey[]) {
    if (keys.length === 0) throw new RangeError('at least one access key is needed');
    this.#secrets = secretsOf(keys);
  }

  /**
   * Requests that begin after it are verified by these keys; without keys, all are refused.
   *
   * @throws RangeError; the keys then stay as they are
   */
  replace(keys: readonly AccessKey[]): void {
    this.#secrets = secretsOf(keys);
    // A key may have another secret now.
    this.#derived.clear();
  }

  secret(accessKeyId: string): string | undefined {
    return this.#secrets.get(accessKeyId);
  }

  /** The SigV4 signing key. `undefined` for an unknown access key. */
  signingKey(accessKeyId: string, day: string, region: string): KeyObject | undefined {
    const secret = this.#secrets.get(accessKeyId);
    if (secret === undefined) return undefined;
    const id = `${accessKeyId}/${day}/${region}`;
    const known = this.#derived.get(id);
    if (known !== undefined) return known;
    let key: Buffer = Buffer.from(`AWS4${secret}`);
    for (const step of [day, region, 's3', 'aws4_request']) {
      key = createHmac('sha256', key).update(step).digest();
    }
    const derived = createSecretKey(key);
    // A client may send any region: the limit keeps strangers from filling the memory.
    if (this.#derived.size >= MAX_DERIVED) {
      const [oldest] = this.#derived.keys();
      if (oldest !== undefined) this.#derived.delete(oldest);
    }
    this.#derived.set(id, derived);
    return derived;
  }
}

function secretsOf(keys: readonly AccessKey[]): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const { accessKeyId, secretAccessKey } of keys) {
    if (!/^[\w.+=/-]{3,128}$/.test(accessKeyId)) {
      throw new RangeError(`accessKeyId must be 3 to 128 of A-Z a-z 0-9 _ . + = / -`);
    }
    if (secretAccessKey.length < 8) {
      throw new RangeError(`the secret of ${accessKeyId} must have at least 8 characters`);
    }
    secrets.set(accessKeyId, secretAccessKey);
  }
  return secrets;
}

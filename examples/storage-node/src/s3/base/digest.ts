import crypto, { createHash } from 'node:crypto';

/** Of Node.js 20.12 and later: it needs no object that the garbage collector must finalize. */
const oneShot = crypto.hash as typeof crypto.hash | undefined;

export function digestAtOnce(algorithm: 'md5' | 'sha256', bytes: Uint8Array): Buffer {
  if (oneShot === undefined) return createHash(algorithm).update(bytes).digest();
  return oneShot(algorithm, bytes, 'buffer');
}

/** Hexadecimal. */
export function hexDigestAtOnce(algorithm: 'md5' | 'sha256', bytes: Uint8Array): string {
  if (oneShot === undefined) return createHash(algorithm).update(bytes).digest('hex');
  return oneShot(algorithm, bytes, 'hex');
}

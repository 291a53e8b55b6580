// @ts-check
import { isLackOfSpace } from './volume.mjs';

/** An answer other than success: its status, a stable code for programs, a message for people. */
export class RequestFailure extends Error {
  /** @override */
  name = 'RequestFailure';

  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {{ headers?: Record<string, string>, outcome?: string | undefined, cause?: unknown }}
   *   [fields]
   */
  constructor(status, code, message, { headers = {}, outcome, cause } = {}) {
    super(message, { cause });
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.outcome = outcome;
  }
}

/** The bytes of a stored object are missing or not what was stored. */
export class DamagedObjectError extends Error {
  /** @override */
  name = 'DamagedObjectError';
}

/**
 * What each of the metadata store's codes means to a client. Others are faults of the node: 500.
 */
const STORE_STATUS = new Map([
  ['LODESTORE_FULL', 507],
  ['LODESTORE_POISONED', 503],
  ['LODESTORE_FENCED', 503],
  ['LODESTORE_CLOSED', 503],
]);

/**
 * Turns any error of a request into an answer. `outcome` is passed on as the metadata store states
 * it: `not-applied` is a promise that the object will not change, `unknown` that it may have,
 * whole.
 * @param {unknown} error
 * @returns {RequestFailure}
 */
export function failureOf(error) {
  if (error instanceof RequestFailure) return error;
  if (isLackOfSpace(error)) {
    return new RequestFailure(507, 'no-space', 'the disk is full', { cause: error });
  }
  if (error instanceof DamagedObjectError) {
    return new RequestFailure(500, 'damaged', 'the stored bytes are damaged', { cause: error });
  }
  const { code, outcome } = /** @type {{ code?: unknown, outcome?: string }} */ (error ?? {});
  const status = STORE_STATUS.get(String(code));
  if (status === undefined) {
    return new RequestFailure(500, 'internal', 'the request failed', { outcome, cause: error });
  }
  const headers = status === 503 ? { 'retry-after': '1' } : undefined;
  const name = status === 507 ? 'no-space' : 'unavailable';
  return new RequestFailure(status, name, /** @type {Error} */ (error).message, {
    ...(headers && { headers }),
    outcome,
    cause: error,
  });
}

/** Limits of everything that a client sends. All are options of the server. */
export interface S3Limits {
  /** Of one PUT or one part. S3 allows 5 GiB. */
  readonly maxObjectBytes: number;
  /** Of a request's XML: 10,000 parts with a checksum each take 1.7 MB. */
  readonly maxXmlBytes: number;
  readonly maxHeaders: number;
  /** First line and headers together. */
  readonly maxHeaderBytes: number;
  /** Names and values of `x-amz-meta-…`; S3 allows 2 KiB. */
  readonly maxMetaBytes: number;
  readonly maxKeyBytes: number;
  /** Number of keys in one DeleteObjects. */
  readonly maxDeletes: number;
  /** Of every part except the last. */
  readonly minPartBytes: number;
  /** Of bodies that are being received, over all connections. */
  readonly maxBodyMemoryBytes: number;
  readonly maxConnections: number;
  /** From the first byte of a request to the end of its headers; also of a TLS handshake. */
  readonly headersTimeoutMs: number;
  /** A connection without a byte in either direction for this long within a request is closed. */
  readonly idleTimeoutMs: number;
  /**
   * From a response to the next request of the connection. Longer than proxies keep connections to
   * a server: one that sends a request into a connection that is being closed answers 502.
   */
  readonly nextRequestTimeoutMs: number;
  /**
   * An answer that takes longer is begun, with white space so often until it is ready: a copy of
   * gigabytes would outlast the patience of clients and proxies.
   */
  readonly keepAliveMs: number;
  /**
   * A client that sends or receives less than this, after an initial allowance of
   * `slowAllowanceMs`, is disconnected. Time that the node itself needs does not count.
   */
  readonly minBytesPerSecond: number;
  readonly slowAllowanceMs: number;
}

export const DEFAULT_LIMITS: S3Limits = {
  maxObjectBytes: 5 * 2 ** 30,
  maxXmlBytes: 4 * 2 ** 20,
  maxHeaders: 200,
  maxHeaderBytes: 32 * 1024,
  maxMetaBytes: 2048,
  maxKeyBytes: 1024,
  maxDeletes: 1000,
  minPartBytes: 5 * 2 ** 20,
  maxBodyMemoryBytes: 128 * 2 ** 20,
  maxConnections: 10_000,
  headersTimeoutMs: 30_000,
  idleTimeoutMs: 120_000,
  nextRequestTimeoutMs: 75_000,
  keepAliveMs: 10_000,
  minBytesPerSecond: 1024,
  slowAllowanceMs: 60_000,
};

/** S3's own limits, which clients rely on. */
export const MAX_LIST_ENTRIES = 1000;
export const MAX_PARTS = 10_000;

/** @throws RangeError for a limit that is not a positive integer. */
export function limitsOf(given: Partial<S3Limits> = {}): S3Limits {
  for (const [name, value] of Object.entries(given)) {
    if (!(name in DEFAULT_LIMITS)) throw new RangeError(`limits.${name} is not known`);
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`limits.${name} must be a positive integer: ${String(value)}`);
    }
  }
  return { ...DEFAULT_LIMITS, ...given };
}

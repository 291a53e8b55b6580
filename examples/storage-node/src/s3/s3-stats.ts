/** One request, as a line of the access log. */
export interface AccessEntry {
  /** Milliseconds since 1970, at its first byte. */
  readonly atMs: number;
  readonly requestId: string;
  readonly client: string;
  readonly accessKeyId?: string;
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  /**
   * 499 if the client disconnected before it had the response; the status of `error` if that
   * occurred after the head of the response, or for one of the objects of a DeleteObjects.
   */
  readonly status: number;
  /** S3 error code. */
  readonly error?: string;
  /** The cause of an error of the node itself. */
  readonly cause?: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly durationMs: number;
}

/** Upper bounds of the buckets of durations, in seconds. */
export const DURATION_BOUNDS_S: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

const RECENT_ERRORS = 50;

export interface OperationStats {
  readonly requests: Map<number, number>;
  /** One more than the bounds: the last bucket has none. */
  readonly durations: number[];
  seconds: number;
}

/** Counts since the start of the server. */
export class S3Stats {
  readonly operations: Map<string, OperationStats> = new Map();
  /** Responses with status 500 or higher, the newest last. */
  readonly recentErrors: AccessEntry[] = [];
  receivedBytes = 0;
  sentBytes = 0;
  inFlight = 0;
  connections = 0;

  finished(entry: AccessEntry): void {
    let stats = this.operations.get(entry.operation);
    if (stats === undefined) {
      const durations = Array.from({ length: DURATION_BOUNDS_S.length + 1 }, () => 0);
      stats = { requests: new Map(), durations, seconds: 0 };
      this.operations.set(entry.operation, stats);
    }
    stats.requests.set(entry.status, (stats.requests.get(entry.status) ?? 0) + 1);
    const seconds = entry.durationMs / 1000;
    const found = DURATION_BOUNDS_S.findIndex((bound) => seconds <= bound);
    const at = found < 0 ? DURATION_BOUNDS_S.length : found;
    stats.durations[at] = (stats.durations[at] ?? 0) + 1;
    stats.seconds += seconds;
    this.receivedBytes += entry.receivedBytes;
    this.sentBytes += entry.sentBytes;
    if (entry.status >= 500 && entry.status !== 501) {
      this.recentErrors.push(entry);
      if (this.recentErrors.length > RECENT_ERRORS) this.recentErrors.shift();
    }
  }
}

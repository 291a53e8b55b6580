import type { S3Stats } from '../s3/s3-stats.ts';

/** Counters at one moment; the difference of two samples gives a rate. */
export interface HistorySample {
  readonly atMs: number;
  readonly reads: number;
  readonly writes: number;
  readonly deletes: number;
  readonly others: number;
  /** Responses with status 500 or higher. */
  readonly failures: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Requests per bucket of durations, for all operations together. */
  readonly durations: readonly number[];
}

type Kind = 'reads' | 'writes' | 'deletes' | 'others';

const KINDS: Readonly<Record<string, Kind>> = {
  GetObject: 'reads',
  HeadObject: 'reads',
  PutObject: 'writes',
  UploadPart: 'writes',
  CompleteMultipartUpload: 'writes',
  DeleteObject: 'deletes',
  DeleteObjects: 'deletes',
};

function sampleOf(stats: S3Stats, atMs: number): HistorySample {
  const counts: Record<Kind, number> = { reads: 0, writes: 0, deletes: 0, others: 0 };
  const durations: number[] = [];
  let failures = 0;
  for (const [operation, { requests, durations: own }] of stats.operations) {
    for (const [status, count] of requests) {
      counts[KINDS[operation] ?? 'others'] += count;
      if (status >= 500 && status !== 501) failures += count;
    }
    for (const [at, count] of own.entries()) durations[at] = (durations[at] ?? 0) + count;
  }
  const { receivedBytes, sentBytes } = stats;
  return { atMs, ...counts, failures, receivedBytes, sentBytes, durations };
}

/** The last minutes of a server, one sample a second, so that a newly opened page shows them. */
export class History {
  readonly #stats: S3Stats;
  readonly #limit: number;
  readonly #samples: HistorySample[] = [];

  constructor(stats: S3Stats, limit: number) {
    this.#stats = stats;
    this.#limit = limit;
  }

  sample(atMs: number): void {
    this.#samples.push(sampleOf(this.#stats, atMs));
    if (this.#samples.length > this.#limit) this.#samples.shift();
  }

  /** The samples after `atMs`. */
  since(atMs: number): HistorySample[] {
    return this.#samples.filter((sample) => sample.atMs > atMs);
  }
}

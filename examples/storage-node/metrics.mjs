// @ts-check

const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Counters of requests since the process started. */
export class Metrics {
  inFlight = 0;
  receivedBytes = 0;
  sentBytes = 0;
  /** @type {Map<string, { method: string, status: string, count: number }>} */
  #requests = new Map();
  /** @type {Map<string, { buckets: number[], sum: number, count: number }>} */
  #durations = new Map();

  /**
   * @param {string} method
   * @param {number | 'aborted'} status
   * @param {number} seconds from the request's head to the answer's last byte
   */
  finished(method, status, seconds) {
    const key = `${method} ${status}`;
    const request = this.#requests.get(key) ?? { method, status: String(status), count: 0 };
    request.count++;
    this.#requests.set(key, request);
    const empty = { buckets: BUCKETS_SECONDS.map(() => 0), sum: 0, count: 0 };
    const duration = this.#durations.get(method) ?? empty;
    this.#durations.set(method, duration);
    duration.sum += seconds;
    duration.count++;
    BUCKETS_SECONDS.forEach((bound, i) => {
      if (seconds <= bound) duration.buckets[i] = (duration.buckets[i] ?? 0) + 1;
    });
  }

  stats() {
    return {
      inFlight: this.inFlight,
      receivedBytes: this.receivedBytes,
      sentBytes: this.sentBytes,
      requests: [...this.#requests.values()],
    };
  }

  /** The lines that have labels. */
  *lines() {
    yield '# HELP storage_node_requests_total Requests answered, or aborted by the client.';
    yield '# TYPE storage_node_requests_total counter';
    for (const { method, status, count } of this.#requests.values()) {
      yield `storage_node_requests_total{method="${method}",status="${status}"} ${count}`;
    }
    const name = 'storage_node_request_duration_seconds';
    yield `# HELP ${name} From a request's head to the last byte of its answer.`;
    yield `# TYPE ${name} histogram`;
    for (const [method, { buckets, sum, count }] of this.#durations) {
      for (const [i, bound] of BUCKETS_SECONDS.entries()) {
        yield `${name}_bucket{method="${method}",le="${bound}"} ${buckets[i]}`;
      }
      yield `${name}_bucket{method="${method}",le="+Inf"} ${count}`;
      yield `${name}_sum{method="${method}"} ${sum}`;
      yield `${name}_count{method="${method}"} ${count}`;
    }
  }
}

/**
 * What `/metrics` answers, in the text format of Prometheus.
 * @param {Metrics} metrics
 * @param {import('./storage-node.mjs').NodeStats} stats
 */
export function renderMetrics(metrics, { objects, requests, volumes, metadata, recovery }) {
  const { commits, merges, memory } = metadata;
  /** @type {[string, 'counter' | 'gauge', string, number][]} */
  const plain = [
    ['objects', 'gauge', 'Objects stored.', objects],
    ['requests_in_flight', 'gauge', 'Requests being answered.', requests.inFlight],
    ['received_bytes_total', 'counter', 'Bytes of request bodies.', requests.receivedBytes],
    ['sent_bytes_total', 'counter', 'Bytes of objects sent.', requests.sentBytes],
    ['volumes_open', 'gauge', 'Volume files open.', volumes.open],
    ['volume_appends_total', 'counter', 'Appends to volumes.', volumes.appends],
    ['volume_appended_bytes_total', 'counter', 'Bytes appended.', volumes.appendedBytes],
    ['volume_syncs_total', 'counter', 'Syncs of volumes.', volumes.syncs],
    ['metadata_up', 'gauge', '1 while writes are taken.', metadata.state === 'open' ? 1 : 0],
    ['metadata_batches_total', 'counter', 'Batches committed.', commits.batches],
    ['metadata_groups_total', 'counter', 'Groups written and synced.', commits.groups],
    ['metadata_sync_seconds_total', 'counter', 'Time in syncs of logs.', commits.syncMs / 1000],
    ['metadata_log_bytes', 'gauge', 'Bytes in logs.', metadata.logs.bytes],
    ['metadata_snapshot_bytes', 'gauge', 'Bytes of the snapshot.', merges.snapshotBytes],
    ['metadata_merges_total', 'counter', 'Merges completed.', merges.completed],
    ['metadata_merges_failed_total', 'counter', 'Merges failed.', merges.failed],
    ['metadata_memory_bytes', 'gauge', 'Bytes of the table in memory.', memoryBytes(memory)],
    ['recovery_seconds', 'gauge', 'Time the last recovery took.', recovery.milliseconds / 1000],
    ['recovery_records', 'gauge', 'Records after the last recovery.', recovery.records],
  ];
  const lines = plain.flatMap(([name, type, help, value]) => [
    `# HELP storage_node_${name} ${help}`,
    `# TYPE storage_node_${name} ${type}`,
    `storage_node_${name} ${value}`,
  ]);
  return [...lines, ...metrics.lines(), ''].join('\n');
}

/** @param {object} figures */
function memoryBytes(figures) {
  return Object.values(figures).reduce((total, figure) => total + Number(figure), 0);
}

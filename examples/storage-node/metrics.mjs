// @ts-check

/** Counters of requests since the process started. */
export class Metrics {
  inFlight = 0;
  receivedBytes = 0;
  sentBytes = 0;
  /** Told of each request that has ended. @type {(method: string, seconds: number) => void} */
  onFinished = () => undefined;
  /** @type {Map<string, { method: string, status: string, count: number }>} */
  #requests = new Map();

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
    this.onFinished(method, seconds);
  }

  stats() {
    return {
      inFlight: this.inFlight,
      receivedBytes: this.receivedBytes,
      sentBytes: this.sentBytes,
      requests: [...this.#requests.values()],
    };
  }
}

import type { OpenProgress } from './recovery-report.ts';

/** Adds up the progress of jobs that run side by side. */
export class ProgressMeter {
  readonly #report: ((progress: OpenProgress) => void) | undefined;
  #phase: OpenProgress['phase'] = 'logs';
  #totalBytes = 0;
  #doneBytes = 0;

  constructor(report: ((progress: OpenProgress) => void) | undefined) {
    this.#report = report;
  }

  begin(phase: OpenProgress['phase'], totalBytes: number): void {
    this.#phase = phase;
    this.#totalBytes = totalBytes;
    this.#doneBytes = 0;
    this.#send();
  }

  /** A listener for one job of this phase, called with the bytes that it has read so far. */
  part(): (bytesRead: number) => void {
    const phase = this.#phase;
    let before = 0;
    return (bytesRead) => {
      if (phase !== this.#phase) return;
      this.#doneBytes = Math.min(this.#totalBytes, this.#doneBytes + bytesRead - before);
      before = bytesRead;
      this.#send();
    };
  }

  #send(): void {
    this.#report?.({
      phase: this.#phase,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
    });
  }
}

import type { OpenProgress } from './recovery-report.ts';

type Phase = Exclude<OpenProgress['phase'], 'lease'>;

/**
 * Sums the progress of parallel jobs. Progress of a later phase is reported when that phase begins.
 */
export class ProgressMeter {
  readonly #report: ((progress: OpenProgress) => void) | undefined;
  readonly #doneBytes: Record<Phase, number> = { logs: 0, snapshot: 0 };
  #phase: Phase = 'logs';
  #totalBytes = 0;

  constructor(report: ((progress: OpenProgress) => void) | undefined) {
    this.#report = report;
  }

  begin(phase: Phase, totalBytes: number): void {
    this.#phase = phase;
    this.#totalBytes = totalBytes;
    // An open reads the logs first, and starts again after a salvage.
    if (phase === 'logs') this.#doneBytes.logs = this.#doneBytes.snapshot = 0;
    this.#send();
  }

  /**
   * A listener for one job of a phase (default: the current one). It is called with the number of
   * bytes that the job has read so far.
   */
  part(phase: Phase = this.#phase): (bytesRead: number) => void {
    let before = 0;
    return (bytesRead) => {
      this.#doneBytes[phase] += bytesRead - before;
      before = bytesRead;
      if (phase === this.#phase) this.#send();
    };
  }

  #send(): void {
    this.#report?.({
      phase: this.#phase,
      doneBytes: Math.min(this.#totalBytes, this.#doneBytes[this.#phase]),
      totalBytes: this.#totalBytes,
    });
  }
}

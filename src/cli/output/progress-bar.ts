import { monotonicMs } from '../../base/timers.ts';
import type { CliStream } from './cli-io.ts';
import { formatBytes, formatSeconds } from './number-text.ts';

/** The progress of some work. */
export interface Progress {
  /** One word. */
  readonly phase: string;
  readonly doneBytes: number;
  /** Undefined if unknown. */
  readonly totalBytes: number | undefined;
}

/** Work that takes less time shows no bar. */
const QUIET_MS = 500;
const REDRAW_MS = 100;
const BAR_CELLS = 24;
const ERASE_LINE = '\r\u001B[K';

/** A progress bar with rate and remaining time. It is shown only on a terminal. */
export class ProgressBar {
  readonly #stream: CliStream | undefined;
  readonly #now: () => number;
  #phase: string | undefined;
  #phaseStartMs = 0;
  #drawnMs: number;
  #isDrawn = false;

  constructor(stream: CliStream, now: () => number = () => monotonicMs()) {
    this.#stream = stream.isTTY === true ? stream : undefined;
    this.#now = now;
    this.#drawnMs = now() + QUIET_MS - REDRAW_MS;
  }

  /** Never throws, so that no progress bar ends the work that it shows. */
  report(progress: Progress): void {
    if (this.#stream === undefined) return;
    const nowMs = this.#now();
    if (progress.phase !== this.#phase) {
      this.#phase = progress.phase;
      this.#phaseStartMs = nowMs;
    }
    if (nowMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = nowMs;
    this.#isDrawn = true;
    const line = progressLine(progress, nowMs - this.#phaseStartMs);
    // A terminal of unknown width reports 0.
    const { columns = 0 } = this.#stream;
    this.#stream.write(ERASE_LINE + line.slice(0, (columns > 0 ? columns : 80) - 1));
  }

  /** Removes the bar from the terminal. */
  clear(): void {
    if (this.#isDrawn) this.#stream?.write(ERASE_LINE);
    this.#isDrawn = false;
  }
}

function progressLine(progress: Progress, elapsedMs: number): string {
  const { phase, doneBytes, totalBytes } = progress;
  const bytesPerSecond = elapsedMs === 0 ? 0 : (doneBytes / elapsedMs) * 1000;
  if (totalBytes === undefined) {
    return `${phase.padEnd(8)} ${formatBytes(doneBytes)}  ${formatBytes(bytesPerSecond)}/s`;
  }
  // A file that grows while it is read has more bytes than it had at the beginning.
  const leftBytes = Math.max(0, totalBytes - doneBytes);
  const share = totalBytes === 0 ? 1 : Math.max(0, Math.min(1, doneBytes / totalBytes));
  const filled = Math.floor(share * BAR_CELLS);
  const bar = '#'.repeat(filled).padEnd(BAR_CELLS, '.');
  const left =
    bytesPerSecond === 0
      ? ''
      : `  ${formatBytes(bytesPerSecond)}/s  ${formatSeconds(leftBytes / bytesPerSecond)} left`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  return `${phase.padEnd(8)} [${bar}] ${percent} of ${formatBytes(totalBytes)}${left}`;
}

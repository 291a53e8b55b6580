import type { ProgressMeter } from '../store/recovery/progress-meter.ts';

/** How much of a directory is read, and who hears of it. */
export interface SurveyOptions {
  /**
   * `logs`: every frame of every log, header and index of the snapshots. `chunks`: their chunks
   * too.
   */
  readonly depth: 'logs' | 'chunks';
  /** Keeps a line per frame. */
  readonly frames: boolean;
  readonly signal: AbortSignal;
  readonly progress: ProgressMeter;
}

/** Why a file could not be judged, though nothing proves it damaged. */
export interface Refusal {
  readonly code: 'LODESTORE_IO' | 'LODESTORE_UNSUPPORTED_FORMAT';
  readonly path: string;
  readonly message: string;
}

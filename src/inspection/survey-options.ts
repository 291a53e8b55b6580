import type { ProgressMeter } from '../store/recovery/progress-meter.ts';

/** How much of a directory to read, and progress reporting. */
export interface SurveyOptions {
  /**
   * `logs`: every frame of every log, and header and index of the snapshots. `chunks`: also their
   * chunks.
   */
  readonly depth: 'logs' | 'chunks';
  /** Whether to keep a line per frame. */
  readonly frames: boolean;
  readonly signal: AbortSignal;
  readonly progress: ProgressMeter;
}

/** Why a file could not be judged, although it is not known to be damaged. */
export interface Refusal {
  readonly code: 'LODESTORE_IO' | 'LODESTORE_UNSUPPORTED_FORMAT';
  readonly path: string;
  readonly message: string;
  /** The code of the system error. Undefined for a format that is not supported. */
  readonly systemCode: string | undefined;
}

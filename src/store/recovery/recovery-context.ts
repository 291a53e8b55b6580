import type { FileSystem } from '../../fs/file-system.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import type { ProgressMeter } from './progress-meter.ts';

/** The environment in which a directory is read. */
export interface RecoveryContext {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly runner: JobRunner;
  readonly signal: AbortSignal;
  readonly progress: ProgressMeter;
  /** Yields to other work of the process. */
  readonly pause?: () => Promise<void>;
  /** `background`: chunks without updates are loaded after the open. */
  readonly warm?: 'before-open' | 'background';
  /** True for the writer of a copy, which checks the copy before it is complete. */
  readonly acceptIncomplete?: boolean;
  // The sizes below have defaults where they are used. Tests set smaller ones, so that small logs
  // take the paths of large ones.
  /** Logs longer than this are read in pieces of this many bytes. */
  readonly pieceBytes?: number;
  /** Rows of logs are checked for superseded ones when they exceed this. */
  readonly lookBytes?: number;
  /** Blocks of rows per layer of the table. */
  readonly layerBlocks?: number;
}

import type { FileSystem } from '../../fs/file-system.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import type { ProgressMeter } from './progress-meter.ts';

/** What a directory is read with. */
export interface RecoveryContext {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly runner: JobRunner;
  readonly signal: AbortSignal;
  readonly progress: ProgressMeter;
  /** Gives way to other work of the process. */
  readonly pause?: () => Promise<void>;
  /** `background`: chunks that no update touches are read after opening. */
  readonly warm?: 'before-open' | 'background';
  /** True for the writer of a copy, which checks it before it is complete. */
  readonly acceptIncomplete?: boolean;
  /** Longer logs are read in pieces of this many bytes. */
  readonly pieceBytes?: number;
  /** Rows of logs are looked through for superseded ones when they take more than this. */
  readonly lookBytes?: number;
  /** Blocks of rows that one layer of the table takes. */
  readonly layerBlocks?: number;
}

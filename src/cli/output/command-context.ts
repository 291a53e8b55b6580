import type { Readable } from 'node:stream';
import type { PathAccess } from '../../fs/access.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { ProgressBar } from './progress-bar.ts';
import type { Output } from './output.ts';

/** What every command is given. Commands resolve to their exit code. */
export interface CommandContext {
  readonly fs: FileSystem;
  /** Undefined where the file system knows neither owners nor rights. */
  readonly access?: PathAccess | undefined;
  readonly out: Output;
  readonly err: Output;
  readonly bar: ProgressBar;
  readonly signal: AbortSignal;
  readonly stdin?: (() => Readable) | undefined;
}

import type { Readable } from 'node:stream';
import type { PathAccess } from '../../fs/access.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { ProgressBar } from './progress-bar.ts';
import type { Output } from './output.ts';

/** The context of every command. Commands resolve to their exit code. */
export interface CommandContext {
  readonly fs: FileSystem;
  /** Undefined if the file system has no owners and permissions. */
  readonly access?: PathAccess | undefined;
  readonly out: Output;
  readonly err: Output;
  readonly bar: ProgressBar;
  readonly signal: AbortSignal;
  readonly stdin?: (() => Readable) | undefined;
}

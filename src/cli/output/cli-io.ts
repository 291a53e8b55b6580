import type { Readable, Writable } from 'node:stream';

/** A stream to print on, and what is known of the terminal behind it. */
export type CliStream = Writable & {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
};

/** All that a command has of the world around it, beside the file system. */
export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** Asked for by commands that read it: to look at it opens it. */
  readonly stdin?: () => Readable;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

import type { Readable, Writable } from 'node:stream';

/** An output stream, with what is known of its terminal. */
export type CliStream = Writable & {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
};

/** A command's environment, except the file system. */
export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** Called only by commands that read it, because accessing `process.stdin` opens it. */
  readonly stdin?: () => Readable;
  /** Aborted by Ctrl-C and by SIGTERM. */
  readonly signal: AbortSignal;
}

import { DirectoryLostError } from '../base/errors.ts';
import type { KeyHashSeed } from '../base/key-hash.ts';
import type { DirectoryReference } from '../fs/file-system.ts';
import type { ThreadPriority } from '../fs/thread-priority.ts';
import type { MergedChunks } from '../jobs/merge.ts';
import type { Job, JobTypes } from '../jobs/run-job.ts';

/** The `workerData` of a thread. */
export interface ThreadSetup {
  readonly priority: ThreadPriority;
  /** The directory of the jobs. The thread opens it itself. */
  readonly directory: DirectoryReference;
  /** The hash seed of the thread that reads the indexes made by this one. */
  readonly hashSeed: KeyHashSeed;
}

export type ToThread =
  | { readonly kind: 'run'; readonly job: Job }
  | { readonly kind: 'abort' }
  /** The thread exits after its last job. */
  | { readonly kind: 'end' };

export type FromThread =
  /** The thread has started and waits for jobs. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly bytesRead: number }
  | { readonly kind: 'message'; readonly message: MergedChunks }
  | { readonly kind: 'result'; readonly result: JobTypes[Job['kind']]['result'] }
  | { readonly kind: 'failed'; readonly error: PlainError };

/** An error as sent between threads: its fields without its class. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  readonly errno: number | undefined;
}

export function toPlainError(error: unknown): PlainError {
  const source = error instanceof Error ? error : new Error(String(error));
  const { code, syscall, path, errno } = source as NodeJS.ErrnoException;
  const { name, message, stack } = source;
  return { name, message, stack, code, syscall, path, errno };
}

export function fromPlainError(plain: PlainError): Error {
  if (plain.code === 'LODESTORE_DIRECTORY_LOST') {
    return new DirectoryLostError(plain.message, { path: plain.path });
  }
  const { name, stack, message, ...fields } = plain;
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name, configurable: true });
  if (stack !== undefined) error.stack = stack;
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined) Object.assign(error, { [field]: value });
  }
  return error;
}

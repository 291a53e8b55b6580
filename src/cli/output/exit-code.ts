import { CorruptionError, StoreLockedError } from '../../base/errors.ts';
import { LogLostError } from '../../replicated/log/log-errors.ts';

/** Exit codes of commands. Documented in `--help` and docs/CLI.md. */
export const EXIT_OK = 0;
export const EXIT_DAMAGE = 1;
export const EXIT_USAGE = 2;
export const EXIT_LOCKED = 3;
export const EXIT_IO = 4;
/** An internal error, with the code of `sysexits.h`. */
export const EXIT_INTERNAL = 70;
/** The code that a shell reports for a process ended by SIGINT; for SIGTERM too. */
export const EXIT_INTERRUPTED = 130;

const MEANINGS: ReadonlyMap<number, string> = new Map([
  [EXIT_OK, 'success, no damage found'],
  [EXIT_DAMAGE, 'damage found'],
  [EXIT_USAGE, 'wrong usage, or invalid input'],
  [EXIT_LOCKED, 'the store is locked by another process'],
  [EXIT_IO, 'no store, or it cannot be read or written'],
  [EXIT_INTERNAL, 'internal error'],
  [EXIT_INTERRUPTED, 'interrupted'],
]);

/** The help text for some exit codes. Default: all. */
export function exitCodeHelp(codes: readonly number[] = [...MEANINGS.keys()]): string {
  const known = [...MEANINGS].filter(([code]) => codes.includes(code));
  const lines = known.map(([code, meaning]) => `  ${String(code).padEnd(3)}  ${meaning}\n`);
  return `Exit codes:\n${lines.join('')}`;
}

/** The exit code for an error of the store or of the system. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CorruptionError || error instanceof LogLostError) return EXIT_DAMAGE;
  if (error instanceof StoreLockedError) return EXIT_LOCKED;
  return EXIT_IO;
}

import { CorruptionError, StoreLockedError } from '../../base/errors.ts';

/** What a command says of itself to the shell. Documented in `--help` and docs/CLI.md. */
export const EXIT_OK = 0;
export const EXIT_DAMAGE = 1;
export const EXIT_USAGE = 2;
export const EXIT_LOCKED = 3;
export const EXIT_IO = 4;
/** A fault of this program, as `sysexits.h` counts. */
export const EXIT_INTERNAL = 70;
/** As a shell reports a process that SIGINT ended. */
export const EXIT_INTERRUPTED = 130;

export const EXIT_CODE_HELP = `
Exit codes:
  0    all is well
  1    damage found
  2    wrong usage, or input that is not as documented
  3    the store is locked by somebody else
  4    nothing there, or it could not be read or written
  70   a fault of lodestore itself
  130  interrupted
`;

/** The exit code for an error that the store or the system has thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CorruptionError) return EXIT_DAMAGE;
  if (error instanceof StoreLockedError) return EXIT_LOCKED;
  return EXIT_IO;
}

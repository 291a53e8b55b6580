/** The outputs and the signal of a command. */
export interface CliIo {
  out(text: string): void;
  /** For people: progress and errors. */
  err(text: string): void;
  /** Whether `err` is a terminal, on which a line may be overwritten. */
  readonly isTerminal: boolean;
  /**
   * Aborted by SIGINT and SIGTERM. These end the process at once until a command asks for it: a
   * node is opened again as after a crash.
   */
  readonly signal: AbortSignal;
  /** Calls `listener` at each SIGHUP, until what it returns is called. */
  onHangup(listener: () => void): () => void;
}

/** Exit codes, as in lodestore's own command line. */
export const EXIT_OK = 0;
/** Not done: the directory is locked, damaged or refused. */
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** The metadata store failed: restart the node. */
export const EXIT_RESTART = 75;

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/** `10M` is 10 MiB. @throws Error */
export function bytesOfText(text: string): number {
  const [, digits, unit] = /^(\d+)([KMGT]?)(?:iB)?$/i.exec(text) ?? [];
  if (digits === undefined) throw new Error(`${text} is not a number of bytes such as 64M`);
  return Number(digits) * BYTE_UNITS[(unit ?? '').toUpperCase()]!;
}

/** One line of progress: overwritten on a terminal, not printed elsewhere. */
export class ProgressLine {
  readonly #io: CliIo;
  #shown = '';

  constructor(io: CliIo) {
    this.#io = io;
  }

  show(text: string): void {
    if (!this.#io.isTerminal || text === this.#shown) return;
    this.#shown = text;
    this.#io.err(`\r\u001b[K${text}`);
  }

  end(): void {
    if (this.#shown !== '') this.#io.err('\r\u001b[K');
    this.#shown = '';
  }
}

import type { CliIo } from './cli-io.ts';

/** A subject is logged once in this time. */
const EVERY_MS = 60_000;
/** Number of subjects that are remembered; beyond it, all are forgotten. */
const MOST_SUBJECTS = 1_000;

interface Said {
  readonly atMs: number;
  /** Lines that were left out since. */
  more: number;
}

/** The log of a running node: each line begins with its time. */
export class LogLines {
  readonly #io: Pick<CliIo, 'err'>;
  readonly #now: () => number;
  readonly #said = new Map<string, Said>();

  constructor(io: Pick<CliIo, 'err'>, now: () => number = Date.now) {
    this.#io = io;
    this.#now = now;
  }

  say(text: string): void {
    this.#io.err(`${new Date(this.#now()).toISOString()} ${text}\n`);
  }

  /** At most once a minute for each subject: clients repeat what fails. */
  sayOnce(subject: string, text: string): void {
    const atMs = this.#now();
    const said = this.#said.get(subject);
    if (said !== undefined && Math.abs(atMs - said.atMs) < EVERY_MS) {
      said.more++;
      return;
    }
    if (this.#said.size >= MOST_SUBJECTS) this.#said.clear();
    this.#said.set(subject, { atMs, more: 0 });
    const { more = 0 } = said ?? {};
    this.say(more > 0 ? `${text} (and ${more} times since the last such line)` : text);
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { MetadataStore, type OpenOptions } from '../../src/index.ts';
import { batchesIn } from '../support/kill-batches.ts';
import { program } from './shell.ts';

/** Rotates and merges all the time. */
const BUSY: OpenOptions = { rotateBytes: 65_536, mergeBytes: 200_000 };

/** A process that writes concurrent batches until it is killed. */
export class LoadedWriter {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #reading: Promise<void>;
  #opened = '';
  /** The last acknowledged batch. */
  acknowledged = -1;
  errors = '';

  constructor(directory: string, options: OpenOptions = BUSY) {
    const args = program('../support/kill-writer.ts', directory, '32', JSON.stringify(options));
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#exited = once(child, 'exit');
    child.stderr.on('data', (data: Buffer) => (this.errors += data.toString()));
    this.#reading = this.#read(createInterface({ input: child.stdout }));
  }

  async #read(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      const [what, number, ...rest] = line.split(' ');
      if (what === 'open') this.#opened = rest.join(' ');
      this.acknowledged = Number(number);
    }
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it found wrong when it opened the directory. */
  get problem(): string | undefined {
    return this.#opened === 'ok' ? undefined : `opening: ${this.#opened || this.errors}`;
  }

  /** Waits for `count` more acknowledged batches. */
  async wait(count: number): Promise<void> {
    while (this.acknowledged < 0 && !this.hasEnded) await turn();
    const wanted = this.acknowledged + count;
    while (this.acknowledged < wanted && !this.hasEnded) await turn();
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended();
  }

  async ended(): Promise<void> {
    await this.#exited;
    await this.#reading;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}

/**
 * Opens the directory after a crash: it must have a prefix of the batches that includes all
 * acknowledged ones.
 */
export async function judgeCrash(
  directory: string,
  acknowledged: number,
): Promise<string | undefined> {
  let store: MetadataStore | undefined;
  try {
    store = await MetadataStore.open(directory);
    const found = batchesIn(store);
    if (found.problem !== undefined) return found.problem;
    if (found.highest < acknowledged) {
      return `acknowledged up to ${acknowledged}, there are batches up to ${found.highest}`;
    }
    await store.merge();
    const merged = batchesIn(store);
    return merged.highest === found.highest ? merged.problem : 'a merge changed the records';
  } catch (error) {
    return error instanceof Error ? error.stack : String(error);
  } finally {
    await store?.close();
  }
}

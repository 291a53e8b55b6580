import { setTimeout as pause } from 'node:timers/promises';
import type { ReplicationEngine } from '../../src/adapters/engine.ts';
import { PositionExpiredError } from '../../src/base/errors.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import type { SharedLog } from '../../src/replicated/log/shared-log.ts';
import type { EngineProcess } from '../support/engines/engine-process.ts';

/** A running engine, and how to break its servers. */
export interface ChaosTarget {
  readonly nodes: readonly EngineProcess[];
  /** A connection that prefers server `i`. */
  readonly connect: (i: number) => Promise<ReplicationEngine>;
  /** Starts server `i` after it was killed. */
  readonly restart: (i: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface ChaosReport {
  readonly acknowledged: number;
  readonly takeovers: number;
  readonly fenced: number;
  /** Appends repeated because their result was unknown. */
  readonly repeated: number;
  readonly trims: number;
  readonly longestOutageMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** Number of entries that are not trimmed: enough for the slowest reader. */
const KEPT = 3000n;

/**
 * Two writers compete for one log. Each appends a takeover and then data until it is fenced, like a
 * primary. A reader checks that positions have no gap, and that acknowledged entries are at their
 * positions.
 */
export class EngineChaos {
  readonly #target: ChaosTarget;
  #seed: number;
  #owner = 0;
  #isOver = false;
  /** Acknowledged entries by position, until the reader has seen them. */
  readonly #acknowledged: Map<bigint, string> = new Map();
  /** Entries that the reader has seen before their acknowledgement. */
  readonly #seen: Map<bigint, string> = new Map();
  #read = 0n;
  readonly #violations: string[] = [];
  readonly #faults: Record<string, number> = {};
  #counts = { acknowledged: 0, takeovers: 0, fenced: 0, repeated: 0, trims: 0 };
  #lastMs = Date.now();
  #longestOutageMs = 0;

  constructor(target: ChaosTarget, seed: number) {
    this.#target = target;
    this.#seed = seed;
  }

  async run(seconds: number): Promise<ChaosReport> {
    const engines = await Promise.all([0, 1, 2].map((i) => this.#connect(i)));
    const logs = await Promise.all(engines.map((engine) => retried(() => engine.log('chaos'))));
    this.#lastMs = Date.now();
    const writers = [this.#write(logs[0]!, 0), this.#write(logs[1]!, 1)];
    const reading = this.#follow(logs[2]!);
    await this.#break(Date.now() + 1000 * seconds - 8000);
    await pause(8000);
    this.#isOver = true;
    await Promise.all(writers);
    await this.#finish(logs[2]!, reading);
    for (const engine of engines) await engine.close();
    return {
      ...this.#counts,
      longestOutageMs: this.#longestOutageMs,
      faults: this.#faults,
      violations: this.#violations.slice(0, 10),
    };
  }

  #connect(i: number): Promise<ReplicationEngine> {
    return retried(() => this.#target.connect(i % this.#target.nodes.length));
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 2 ** 32;
  }

  async #write(log: SharedLog, me: number): Promise<void> {
    let last = 0n;
    let isOwner = false;
    for (let n = 0; !this.#isOver; n++) {
      // A deposed writer continues for a while: the log must fence it.
      if (this.#owner !== me && !(isOwner && this.#random() < 0.9)) {
        isOwner = false;
        await pause(20);
        continue;
      }
      if (!isOwner) last = await this.#end(log, last);
      const kind = isOwner ? 'data' : 'takeover';
      const id = `${kind}:${me}:${n}:${Math.random()}`;
      const size = this.#random() < 0.1 ? 20_000 : 200;
      const entry = Buffer.from(id.padEnd(size, ' '));
      const result = await this.#append(log, last + 1n, entry);
      if (result === undefined) return;
      if (result === 'appended') this.#acknowledge(++last, id, kind === 'takeover');
      else if (isOwner) this.#counts.fenced++;
      isOwner = result === 'appended';
    }
  }

  /** Repeats the same bytes until the result is definite; undefined at the end of the run. */
  async #append(
    log: SharedLog,
    position: bigint,
    entry: Uint8Array,
  ): Promise<'appended' | 'occupied' | undefined> {
    for (let isRepeated = false; ; isRepeated = true) {
      try {
        const result = await log.append(position, entry);
        const isOurs =
          isRepeated && result === 'occupied' && (await this.#isAt(log, position, entry));
        return isOurs ? 'appended' : result;
      } catch (error) {
        if (!(error instanceof LogUnavailableError)) throw error;
        this.#counts.repeated++;
        if (this.#isOver) return undefined;
        await pause(20);
      }
    }
  }

  async #isAt(log: SharedLog, position: bigint, entry: Uint8Array): Promise<boolean> {
    for (;;) {
      try {
        for await (const found of log.read(position))
          return Buffer.compare(found.entry, entry) === 0;
      } catch (error) {
        if (error instanceof PositionExpiredError) return false;
        if (!(error instanceof LogUnavailableError)) throw error;
        await pause(20);
      }
    }
  }

  async #end(log: SharedLog, known: bigint): Promise<bigint> {
    const { last } = await retried(() => log.bounds());
    return last > known ? last : known;
  }

  #acknowledge(position: bigint, id: string, isTakeover: boolean): void {
    const now = Date.now();
    this.#longestOutageMs = Math.max(this.#longestOutageMs, now - this.#lastMs);
    this.#lastMs = now;
    this.#counts.acknowledged++;
    if (isTakeover) this.#counts.takeovers++;
    if (this.#acknowledged.has(position)) {
      this.#violations.push(`position ${position} was acknowledged twice`);
    }
    this.#acknowledged.set(position, id);
    this.#compare(position);
  }

  #compare(position: bigint): void {
    const told = this.#acknowledged.get(position);
    const seen = this.#seen.get(position);
    if (told === undefined || seen === undefined) return;
    if (told !== seen) this.#violations.push(`position ${position} has ${seen}, not ${told}`);
    this.#seen.delete(position);
  }

  async #follow(log: SharedLog): Promise<void> {
    while (!this.#isOver || this.#read < this.#lastPosition()) {
      try {
        for await (const { position, entry } of log.read(this.#read + 1n)) {
          if (position !== this.#read + 1n) this.#violations.push(`a gap before ${position}`);
          this.#read = position;
          this.#seen.set(position, Buffer.from(entry).toString('latin1').trimEnd());
          this.#compare(position);
          if (position % 1000n === 0n && position > KEPT) await this.#trim(log, position - KEPT);
          if (this.#isOver && position >= this.#lastPosition()) break;
        }
      } catch (error) {
        if (!(error instanceof LogUnavailableError)) {
          this.#violations.push(`the reader failed: ${String(error)}`);
          return;
        }
        await pause(50);
      }
    }
  }

  async #trim(log: SharedLog, upTo: bigint): Promise<void> {
    await log.trim(upTo).then(
      () => this.#counts.trims++,
      () => undefined,
    );
  }

  #lastPosition(): bigint {
    return [...this.#acknowledged.keys()].reduce((a, b) => (a > b ? a : b), 0n);
  }

  /** The reader must see everything acknowledged. */
  async #finish(log: SharedLog, reading: Promise<void>): Promise<void> {
    // One more entry wakes a reader that waits at the end.
    const last = await this.#end(log, this.#lastPosition());
    await retried(() => log.append(last + 1n, Buffer.from('end')));
    const late = pause(60_000, 'late', { ref: false });
    if ((await Promise.race([reading, late])) === 'late') {
      this.#violations.push(`the reader is at ${this.#read} of ${this.#lastPosition()}`);
    }
  }

  async #break(untilMs: number): Promise<void> {
    const { nodes } = this.#target;
    while (Date.now() < untilMs) {
      await pause(500 + 1500 * this.#random());
      if (this.#random() < 0.6) this.#owner = 1 - this.#owner;
      const drawn = this.#random();
      const i = Math.floor(this.#random() * nodes.length);
      if (drawn < 0.4) await this.#killed('one killed', [i]);
      else if (drawn < 0.6) await this.#stopped(i);
      else if (drawn < 0.7) await this.#killed('all killed', [...nodes.keys()]);
      else if (drawn < 0.8) await this.#killed('two killed', [i, (i + 1) % nodes.length]);
    }
  }

  async #killed(name: string, which: readonly number[]): Promise<void> {
    const servers = [...new Set(which)];
    this.#count(servers.length === 1 ? 'one killed' : name);
    // At SIGQUIT, PostgreSQL ends its other processes without a checkpoint, like a machine crash.
    const isAlone = this.#target.nodes.length === 1;
    await Promise.all(
      servers.map((i) => this.#target.nodes[i]!.kill(isAlone ? 'SIGQUIT' : 'SIGKILL')),
    );
    await pause(2000 * this.#random());
    for (const i of servers) await this.#target.restart(i);
    if (servers.length > 1) await pause(3000);
  }

  async #stopped(i: number): Promise<void> {
    this.#count('one stopped');
    this.#target.nodes[i]!.signal('SIGSTOP');
    await pause(5000 * this.#random());
    this.#target.nodes[i]!.signal('SIGCONT');
  }

  #count(name: string): void {
    this.#faults[name] = (this.#faults[name] ?? 0) + 1;
  }
}

async function retried<T>(act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof LogUnavailableError) || attempt > 300) throw error;
      await pause(100);
    }
  }
}

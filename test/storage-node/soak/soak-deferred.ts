import { SOAK_OPTIONS, type Report, type SoakCounts } from './soak-report.ts';

/** Longer than everything that a round does. */
const NEVER = Infinity;

/** A change of one name of the deferred bucket. Places are in the order of the reports. */
interface Change {
  /** Undefined: a delete, or what was not there at the start. */
  readonly hash: string | undefined;
  readonly isSynced: boolean;
  readonly begunAt: number;
  /** `NEVER`: it was not acknowledged. */
  acknowledgedAt: number;
  acknowledgedMs: number;
}

/** How a round ended. */
export interface RoundEnd {
  /** Time of the kill, in milliseconds since 1970. */
  readonly killedMs: number;
  /** The longest synced call: a write of the buffer may take as long. */
  readonly slowestMs: number;
  /** Another program took all space: the buffer may be unwritten for long, and deletes pass it. */
  readonly isFilledUp: boolean;
}

/**
 * What a deferred bucket may have after a kill: a prefix of its acknowledged changes. There must be
 * a place in their order where it was cut. What was acknowledged after it may be lost; what began
 * after it must not be there. Nothing that was acknowledged before a durable call began is lost,
 * nor that call, nor what was acknowledged earlier than the interval before the kill.
 */
export class DeferredLedger {
  readonly #counts: SoakCounts;
  #changes = new Map<string, Change[]>();
  #place = 0;

  constructor(counts: SoakCounts) {
    this.#counts = counts;
  }

  get names(): string[] {
    return [...this.#changes.keys()];
  }

  /** What the last check has found. */
  settled(name: string): string | undefined {
    return this.#changes.get(name)![0]!.hash;
  }

  take({ type, name, hash, isSynced = false, atMs = 0 }: Report): void {
    const place = ++this.#place;
    if (type === 'begin') {
      const changes = this.#changes.get(name!) ?? [baseOf(undefined)];
      this.#changes.set(name!, changes);
      const change = { hash, isSynced, begunAt: place, acknowledgedAt: NEVER };
      changes.push({ ...change, acknowledgedMs: NEVER });
    }
    if (type !== 'done') return;
    // Calls of one name follow one another.
    const change = this.#changes.get(name!)!.at(-1)!;
    change.acknowledgedAt = place;
    change.acknowledgedMs = atMs;
    if (!isSynced) this.#counts.deferredAcknowledged++;
  }

  /**
   * `found`: the contents of all names. Without `end` the node was closed: nothing is lost.
   *
   * @throws Error if that is not a prefix
   */
  settle(found: ReadonlyMap<string, string | undefined>, end: RoundEnd | undefined): void {
    for (const [name, changes] of this.#changes) {
      if (changes.some(({ hash }) => hash === found.get(name))) continue;
      throw new Error(`${name}: ${found.get(name) ?? 'nothing'} was never stored`);
    }
    const least = end === undefined ? NEVER : this.#durableTo(end);
    const cut = this.#cuts(least).find((each) => this.#isPrefix(found, each, end));
    if (cut === undefined) throw new Error(`no prefix to ${least}: ${this.#told(found)}`);
    if (end !== undefined) this.#countLost(found, cut, end);
    this.#changes = new Map([...this.#changes].map(([name]) => [name, [baseOf(found.get(name))]]));
    this.#place = 0;
  }

  /** Everything acknowledged before this place is durable. */
  #durableTo({ killedMs, slowestMs, isFilledUp }: RoundEnd): number {
    if (isFilledUp) return 0;
    // A PUT may arrive while the buffer is written, and waits for the next time.
    const oldestMs = killedMs - SOAK_OPTIONS.writeBufferMs - 4 * slowestMs - 250;
    let place = 0;
    for (const changes of this.#changes.values()) {
      for (const { isSynced, begunAt, acknowledgedAt, acknowledgedMs } of changes) {
        if (acknowledgedAt === NEVER) continue;
        if (isSynced) place = Math.max(place, begunAt);
        if (acknowledgedMs < oldestMs) place = Math.max(place, acknowledgedAt + 1);
      }
    }
    return place;
  }

  /** The latest is first. */
  #cuts(least: number): number[] {
    const places = [...this.#changes.values()].flatMap((changes) =>
      changes.map(({ acknowledgedAt }) => acknowledgedAt),
    );
    return [...new Set([NEVER, ...places, least])]
      .filter((place) => place >= least)
      .sort((one, other) => other - one);
  }

  #isPrefix(
    found: ReadonlyMap<string, string | undefined>,
    cut: number,
    end: RoundEnd | undefined,
  ): boolean {
    return [...this.#changes].every(([name, changes]) => {
      return changes.some((_, i) => mayBeLast(changes, i, found.get(name), cut, end));
    });
  }

  #countLost(found: ReadonlyMap<string, string | undefined>, cut: number, end: RoundEnd): void {
    let lost = 0;
    for (const [name, changes] of this.#changes) {
      const last = changes.findLastIndex((_, i) =>
        mayBeLast(changes, i, found.get(name), cut, end),
      );
      for (const { acknowledgedAt, acknowledgedMs } of changes.slice(last + 1)) {
        if (acknowledgedAt === NEVER) continue;
        lost++;
        const ageMs = end.killedMs - acknowledgedMs;
        if (end.isFilledUp) continue;
        this.#counts.deferredOldestLostMs = Math.max(this.#counts.deferredOldestLostMs, ageMs);
      }
    }
    this.#counts.deferredLost += lost;
    if (lost > 0) this.#counts.deferredCuts++;
  }

  #told(found: ReadonlyMap<string, string | undefined>): string {
    const short = (hash: string | undefined): string => hash?.slice(0, 6) ?? '–';
    const lines = [...this.#changes].map(([name, changes]) => {
      const all = changes.map(({ hash, isSynced, begunAt, acknowledgedAt }) => {
        return `${short(hash)}${isSynced ? '!' : ''}@${begunAt}-${acknowledgedAt}`;
      });
      return `${name} has ${short(found.get(name))} of ${all.join(' ')}`;
    });
    return `\n${lines.join('\n')}`;
  }
}

function baseOf(hash: string | undefined): Change {
  return { hash, isSynced: true, begunAt: -1, acknowledgedAt: -1, acknowledgedMs: 0 };
}

/** True if change `i` can be the last that is left of a name. */
function mayBeLast(
  changes: readonly Change[],
  i: number,
  found: string | undefined,
  cut: number,
  end: RoundEnd | undefined,
): boolean {
  const { hash, isSynced, begunAt } = changes[i]!;
  if (hash !== found) return false;
  const passesBuffer = end?.isFilledUp === true && isSynced && hash === undefined;
  if (begunAt >= cut && !passesBuffer) return false;
  return changes.slice(i + 1).every((later) => {
    return later.acknowledgedAt === NEVER || (!later.isSynced && later.acknowledgedAt >= cut);
  });
}

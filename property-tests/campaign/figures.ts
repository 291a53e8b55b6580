/** Counts of what a campaign has checked. */
export class Figures {
  programs = 0;
  stopPoints = 0;
  /** Combinations of kept names and kept data at all stop points. */
  raw = 0;
  /** Combinations omitted because of the cap per stop point. */
  capped = 0;
  /** Crash states generated; many are trees that were already known. */
  checked = 0;
  /** States found while a recovery was crashed. */
  nested = 0;
  kills = 0;
  /** Trees that got all checks. */
  thorough = 0;
  opens = 0;
  readonly #startMs: number = performance.now();
  readonly #startCpu: NodeJS.CpuUsage = process.cpuUsage();

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }

  get cpuSeconds(): number {
    const { user, system } = process.cpuUsage(this.#startCpu);
    return (user + system) / 1e6;
  }

  describe(distinct: number): string {
    const { programs, stopPoints, raw, checked, nested, kills, capped, thorough, opens } = this;
    const rows: [string, number][] = [
      ['programs', programs],
      ['moments of crash', stopPoints],
      ['raw states', raw],
      ['states judged', checked],
      ['distinct states recovered', distinct],
      ['of these, checked thoroughly', thorough],
      ['states of a crashed recovery', nested],
      ['kills', kills],
      ['capped', capped],
      ['opens', opens],
    ];
    const told = rows.map(([name, count]) => `${name.padEnd(32)}${count.toLocaleString('en')}`);
    const rate = Math.round(distinct / this.cpuSeconds);
    told.push(
      `${'seconds'.padEnd(32)}${this.seconds.toFixed(1)}, of one core ${this.cpuSeconds.toFixed(1)}`,
      `${'distinct states per core second'.padEnd(32)}${rate.toLocaleString('en')}`,
    );
    return told.join('\n');
  }
}

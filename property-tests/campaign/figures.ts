/** What a campaign has looked at. */
export class Figures {
  programs = 0;
  stopPoints = 0;
  /** Combinations of kept names and kept data at all stop points. */
  raw = 0;
  /** Combinations that the cap per stop point left out. */
  capped = 0;
  /** Crash states handed out; many are trees that were met before. */
  checked = 0;
  /** States found while a recovery was crashed. */
  nested = 0;
  kills = 0;
  /** Trees on which the whole round of checks ran. */
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

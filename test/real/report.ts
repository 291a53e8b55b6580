/** Counts what ran, what failed, and what could not run here. */
export class Report {
  readonly #only: RegExp;
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  constructor(only: RegExp) {
    this.#only = only;
  }

  /** Runs a section. An exception is a separate failure. */
  async section(title: string, run: (report: Report) => Promise<void>): Promise<void> {
    if (!this.#only.test(title)) return;
    this.#say(`\n${title}`);
    const start = performance.now();
    const before = this.#passed + this.#failed;
    try {
      await run(this);
    } catch (error) {
      this.fail('the section itself', error instanceof Error ? (error.stack ?? '') : String(error));
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    this.#say(`  ${this.#passed + this.#failed - before} checks in ${seconds} s`);
  }

  /** Counts one check; `problem` is what was wrong. */
  check(what: string, problem: string | undefined): void {
    if (problem === undefined) this.#passed++;
    else this.fail(what, problem);
  }

  fail(what: string, problem: string): void {
    this.#failed++;
    this.#say(`  FAILED ${what}: ${problem}`);
  }

  skip(what: string, why: string): void {
    this.#skipped++;
    this.#say(`  skipped ${what}: ${why}`);
  }

  note(text: string): void {
    this.#say(`  ${text}`);
  }

  /** Prints the totals. Returns the exit code. */
  end(): number {
    this.#say(`\n${this.#skipped} skipped`);
    this.#say(`${this.#passed} passed, ${this.#failed} failed`);
    return this.#failed === 0 ? 0 : 1;
  }

  #say(line: string): void {
    process.stdout.write(`${line}\n`);
  }
}

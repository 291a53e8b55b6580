// @ts-check

const BAR_CELLS = 30;
const REDRAW_MS = 100;

/** @param {number} value */
export const count = (value) => value.toLocaleString('en-US');

/** The progress of one phase: a bar on a terminal, a line for every quarter elsewhere. */
export class Progress {
  #label;
  #total;
  #stream;
  #done = 0;
  #drawnMs = -Infinity;
  #quarters = 0;

  /**
   * @param {string} label
   * @param {number} total
   * @param {NodeJS.WriteStream} stream
   */
  constructor(label, total, stream = process.stdout) {
    this.#label = label;
    this.#total = total;
    this.#stream = stream;
  }

  advance() {
    this.#done++;
    if (this.#stream.isTTY) this.#draw();
    else this.#line();
  }

  /** Writes a separate line above the bar. @param {string} message */
  say(message) {
    this.#stream.write(this.#stream.isTTY ? `\r\u001b[K${message}\n` : `${message}\n`);
    this.#drawnMs = -Infinity;
  }

  end() {
    if (!this.#stream.isTTY) return;
    this.#drawnMs = -Infinity;
    this.#draw();
    this.#stream.write('\n');
  }

  #draw() {
    if (performance.now() - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = performance.now();
    const cells = Math.floor((BAR_CELLS * this.#done) / Math.max(1, this.#total));
    const bar = '#'.repeat(cells).padEnd(BAR_CELLS, '.');
    this.#stream.write(`\r${this.#label} [${bar}] ${this.#figures()}\u001b[K`);
  }

  #line() {
    const quarters = Math.floor((4 * this.#done) / this.#total);
    if (quarters === this.#quarters) return;
    this.#quarters = quarters;
    this.#stream.write(`${this.#label} ${this.#figures()}\n`);
  }

  #figures() {
    return `${count(this.#done)} of ${count(this.#total)}`;
  }
}

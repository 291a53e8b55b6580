import type { FileHeader } from '../format/file-header.ts';
import type { FrameHeader } from '../format/frame.ts';
import { Scratch } from '../format/scratch.ts';
import { isZeroToEnd, type FileWindow } from '../fs/file-window.ts';
import { FrameCursor, type CorruptFrame, type TornFrame } from './frame-cursor.ts';
import { findLaterFrames } from './frame-search.ts';
import type { LogEnding, LogPosition, LogScanOptions } from './log-report.ts';

// One per thread is enough: no await occurs while a group's rows are in use.
const scratch = new Scratch();

/** Scans the frames of a log from any position between two frames. */
export class LogScanner {
  readonly #window: FileWindow;
  readonly #options: LogScanOptions;
  readonly #cursor: FrameCursor;

  constructor(
    window: FileWindow,
    header: FileHeader,
    options: LogScanOptions,
    start?: LogPosition,
  ) {
    this.#window = window;
    this.#options = options;
    this.#cursor = new FrameCursor(header, start);
  }

  /** The position after the last valid frame. */
  get position(): LogPosition {
    return this.#cursor.position;
  }

  async scanToEnd(): Promise<LogEnding> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const ending = await this.#step();
      this.#options.onProgress?.(this.position.offset);
      if (ending !== undefined) return ending;
      const pause = this.#options.pause?.();
      if (pause !== undefined) await pause;
    }
  }

  /** Scans groups that begin before `end`, up to the first invalid or other frame. */
  async scanGroups(end: number): Promise<void> {
    while (this.position.offset < end) {
      this.#options.signal?.throwIfAborted();
      const ahead = await this.#cursor.ahead(this.#window);
      if (ahead.kind !== 'group' || (await this.#take(ahead.header)) !== undefined) return;
      this.#options.onProgress?.(this.position.offset);
      const pause = this.#options.pause?.();
      if (pause !== undefined) await pause;
    }
  }

  async #step(): Promise<LogEnding | undefined> {
    const ahead = await this.#cursor.ahead(this.#window);
    if (ahead.kind === 'end') return this.#zeros();
    if (ahead.kind === 'seal') return this.#cursor.seal(this.#window, ahead.header);
    const fault = ahead.kind === 'group' ? await this.#take(ahead.header) : ahead;
    return fault?.kind === 'torn' ? this.#broken(fault.reason) : fault;
  }

  async #zeros(): Promise<LogEnding> {
    if (await isZeroToEnd(this.#window, this.position.offset)) return { kind: 'end' };
    return this.#broken('there are zeros instead of a frame, followed by other bytes');
  }

  async #broken(reason: string): Promise<LogEnding> {
    const { offset, frameCount } = this.position;
    const later = await findLaterFrames(this.#window, offset, this.#cursor.seed, frameCount + 1);
    return { kind: 'broken', offset, reason, later };
  }

  /** Why the group is invalid, or undefined. */
  async #take(header: FrameHeader): Promise<TornFrame | CorruptFrame | undefined> {
    const { offset } = this.position;
    const payload = await this.#cursor.payload(this.#window, header);
    const taken = this.#cursor.take(header, payload, scratch);
    if (taken.kind !== 'group') return taken;
    this.#options.onGroup?.(taken.group, header, offset);
    return undefined;
  }
}

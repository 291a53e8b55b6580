import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { systemCode } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { parseFileName } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { unlinkIfThere } from '../../fs/unlink.ts';
import type { MovedFile } from '../recovery/recovery-report.ts';
import { planMoves, type Move } from './placement.ts';
import { linkOrCopy, Quarantine } from './quarantine.ts';

/**
 * Suffix of a file that makes way for another one. The name is foreign, and the file is found again
 * by its header.
 */
const MOVED_SUFFIX = '.moved';

const BLOCK_BYTES: number = 256 * 1024;

/**
 * Renames misplaced files to the names in their headers, and sets aside in `quarantine/` files of
 * another store and second copies. It removes nothing, and each step is durable before the next.
 * The log with the highest number is renamed first. Until the lowest one is in its place there is a
 * gap. So after a crash at any step, the directory does not open with less than it holds, and
 * another salvage completes the work.
 *
 * @throws FencedError; system errors unchanged
 */
export async function putInPlace(
  fs: FileSystem,
  directory: string,
  signal: AbortSignal,
  lock: DirectoryLock,
): Promise<readonly MovedFile[]> {
  const moves = await planMoves(fs, directory, signal);
  return new Mover(fs, directory, moves, new Quarantine(fs, directory, signal), lock).run();
}

class Mover {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #moves: readonly Move[];
  readonly #quarantine: Quarantine;
  readonly #lock: DirectoryLock;
  /** Current names of files that had to make way, by their original names. */
  readonly #current: Map<string, string> = new Map();
  readonly #moved: MovedFile[] = [];

  constructor(
    fs: FileSystem,
    directory: string,
    moves: readonly Move[],
    quarantine: Quarantine,
    lock: DirectoryLock,
  ) {
    this.#fs = fs;
    this.#directory = directory;
    this.#moves = moves;
    this.#quarantine = quarantine;
    this.#lock = lock;
  }

  async run(): Promise<readonly MovedFile[]> {
    const placed = this.#moves.filter(({ to }) => to !== undefined).sort(byPlace);
    for (const move of placed) await this.#place(move, move.to!);
    for (const move of this.#moves) {
      if (move.to === undefined && !this.#moved.some((one) => one.from === this.#path(move.from))) {
        await this.#setAside(move);
        await this.#change(() => unlinkIfThere(this.#fs, this.#path(move.from)));
      }
    }
    return this.#moved;
  }

  async #place(move: Move, to: string): Promise<void> {
    await this.#makeRoom(to);
    const from = this.#current.get(move.from) ?? move.from;
    // The replaced file already has another name, so the target name always exists.
    await this.#change(() => this.#fs.rename(this.#path(from), this.#path(to)));
    this.#moved.push({ from: this.#path(move.from), to: this.#path(to), reason: move.reason });
  }

  /** Gives the file that has a name a second one. */
  async #makeRoom(place: string): Promise<void> {
    const occupant = this.#moves.find(({ from }) => from === place);
    if (occupant === undefined || this.#current.has(place)) return;
    if (this.#moved.some(({ from }) => from === this.#path(place))) return;
    if (occupant.to === undefined) return this.#setAside(occupant);
    const name = await this.#unusedName(place);
    await this.#change(() => linkOrCopy(this.#fs, this.#path(place), this.#path(name)));
    this.#current.set(place, name);
  }

  /**
   * An unused second name for the file at `place`. One that an interrupted salvage has given it is
   * removed and used again. Any other file keeps its name.
   */
  async #unusedName(place: string): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const name = place + MOVED_SUFFIX + (attempt === 0 ? '' : `.${attempt}`);
      const found = await this.#compare(name, place);
      if (found === 'absent') return name;
      if (found === 'other' || this.#moves.some(({ from }) => from === name)) continue;
      await this.#change(() => this.#fs.unlink(this.#path(name)));
      return name;
    }
  }

  /** `contained`: the file at `place` begins with all bytes of the file at `name`. */
  async #compare(name: string, place: string): Promise<'absent' | 'contained' | 'other'> {
    const stat = await this.#fs.stat(this.#path(name)).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
      return undefined;
    });
    if (stat === undefined) return 'absent';
    if (stat.kind !== 'file') return 'other';
    const isContained = await isPrefix(this.#fs, this.#path(name), this.#path(place));
    return isContained ? 'contained' : 'other';
  }

  async #setAside({ from, reason }: Move): Promise<void> {
    const path = this.#path(from);
    const to = (await this.#quarantine.keep([path])).get(path)!;
    this.#moved.push({ from: path, to, reason });
  }

  async #change(call: () => Promise<unknown>): Promise<void> {
    await this.#lock.whenHeld();
    await call();
    await this.#fs.syncDirectory(this.#directory);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

/** Whether the file at `other` begins with all bytes of the file at `path`. */
async function isPrefix(fs: FileSystem, path: string, other: string): Promise<boolean> {
  const part = await fs.open(path, 'r');
  try {
    const whole = await fs.open(other, 'r');
    try {
      return await isSameBytes(part, whole, (await part.stat()).sizeBytes);
    } finally {
      await whole.close();
    }
  } finally {
    await part.close();
  }
}

async function isSameBytes(one: OpenFile, other: OpenFile, lengthBytes: number): Promise<boolean> {
  const [bytes, otherBytes] = [new Uint8Array(BLOCK_BYTES), new Uint8Array(BLOCK_BYTES)];
  for (let position = 0; position < lengthBytes; position += BLOCK_BYTES) {
    const count = Math.min(BLOCK_BYTES, lengthBytes - position);
    const [block, otherBlock] = [bytes.subarray(0, count), otherBytes.subarray(0, count)];
    const read = await readFully(one, block, position);
    if (read < count || (await readFully(other, otherBlock, position)) < count) return false;
    if (!equalBytes(block, otherBlock)) return false;
  }
  return true;
}

/** Logs before snapshots, highest number first. */
function byPlace(a: Move, b: Move): number {
  const [one, other] = [parseFileName(a.to ?? ''), parseFileName(b.to ?? '')];
  if (one.kind !== other.kind) return one.kind === 'log' ? -1 : 1;
  return 'number' in one && 'number' in other ? other.number - one.number : 0;
}

import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { readClaim } from '../../directory/claim-file.ts';
import type { FileHeader, Predecessor } from '../../format/file-header.ts';
import { logName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { LogScan } from '../../log/log-report.ts';
import { scanLog } from '../../log/log-scan.ts';
import { readSnapshot } from '../../snapshot/snapshot-reader.ts';
import { isSamePredecessor } from '../recovery/verdict.ts';
import {
  findFiles,
  findStoreId,
  isHigher,
  isInPlace,
  placeOf,
  type FoundFile,
} from './found-files.ts';

/** A file that must be renamed or set aside. */
export interface Move {
  /** Name in the directory. */
  readonly from: string;
  /** The correct name. Undefined: the file does not belong to the store and is set aside. */
  readonly to: string | undefined;
  /** Why, as a phrase about the file. */
  readonly reason: string;
}

/**
 * Plans which files of a damaged directory must be renamed or set aside before anything is given up
 * as lost. The header of every log and snapshot names its store and its number. Reads only.
 *
 * - Files of the store get the names in their headers. The store is the one in the claim, or the
 *   one that most headers name.
 * - If several files have the same name, the one that the next log follows is chosen, or the one
 *   that is valid the furthest.
 * - Files under foreign names (`.bak`, ` (1)`) are used only if one is missing or invalid.
 * - Files of another store and second copies are set aside. A file with an invalid header stays,
 *   unless another file needs its name.
 *
 * Rejects with the system error or the signal's reason.
 */
export async function planMoves(
  fs: FileSystem,
  directory: string,
  signal: AbortSignal,
): Promise<readonly Move[]> {
  // Reads the claim first: what it names existed before.
  const claim = await readClaim(fs, directory);
  const files = await findFiles(fs, directory);
  const storeId = findStoreId(files, claim);
  if (storeId === undefined) return [];
  return new Placement(fs, directory, signal, storeId, files).plan();
}

/** A file that could get a name. */
interface Candidate {
  readonly file: FoundFile;
  readonly header: FileHeader;
}

class Placement {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #storeId: Uint8Array;
  readonly #files: readonly FoundFile[];
  /** Files of the store by their correct names. */
  readonly #candidates: Map<string, Candidate[]> = new Map();

  constructor(
    fs: FileSystem,
    directory: string,
    signal: AbortSignal,
    storeId: Uint8Array,
    files: readonly FoundFile[],
  ) {
    this.#fs = fs;
    this.#directory = directory;
    this.#signal = signal;
    this.#storeId = storeId;
    this.#files = files;
    for (const file of files) {
      const { header } = file;
      if (header === undefined || !this.#isOurs(header)) continue;
      const place = placeOf(header);
      this.#candidates.set(place, [...(this.#candidates.get(place) ?? []), { file, header }]);
    }
  }

  #isOurs(header: FileHeader): boolean {
    return equalBytes(header.storeId, this.#storeId);
  }

  async plan(): Promise<Move[]> {
    const chosen = new Map<string, FoundFile>();
    for (const [place, candidates] of this.#candidates) {
      const file = await this.#choose(candidates);
      if (file !== undefined) chosen.set(place, file);
    }
    return this.#files.flatMap((file) => this.#moveOf(file, chosen) ?? []);
  }

  #moveOf(file: FoundFile, chosen: ReadonlyMap<string, FoundFile>): Move | undefined {
    const { name: from, header, isNamed } = file;
    if (header !== undefined && this.#isOurs(header)) {
      const to = placeOf(header);
      const isChosen = chosen.get(to) === file;
      if (isChosen && from === to) return undefined;
      if (isChosen)
        return { from, to, reason: `its header says that it is ${header.kind} ${header.number}` };
      if (!isNamed) return undefined;
      const reason =
        from === to
          ? `${chosen.get(to)?.name ?? 'another file'} is a better copy of it`
          : `it is another copy of ${header.kind} ${header.number}`;
      return { from, to: undefined, reason };
    }
    if (!isNamed) return undefined;
    if (header !== undefined) return { from, to: undefined, reason: 'it belongs to another store' };
    const reason = 'its header does not verify, and another file belongs there';
    return chosen.has(from) ? { from, to: undefined, reason } : undefined;
  }

  /**
   * The best file for a name. Undefined if only files under foreign names exist and none is needed.
   */
  async #choose(candidates: readonly Candidate[]): Promise<FoundFile | undefined> {
    const named = candidates.filter(({ file }) => file.isNamed);
    if (named.length === 0 && !(await this.#isNeeded(candidates[0]!))) return undefined;
    if (candidates.length === 1) return candidates[0]!.file;
    let best: { readonly file: FoundFile; readonly rank: readonly number[] } | undefined;
    for (const candidate of candidates) {
      const { file } = candidate;
      const quality = await this.#quality(candidate);
      const rank = [...quality, isInPlace(file) ? 1 : 0, file.isNamed ? 1 : 0];
      if (best === undefined || isHigher(rank, best.rank)) best = { file, rank };
    }
    return best?.file;
  }

  /**
   * Whether a file under a foreign name fills a gap, continues the last log, or is the missing
   * snapshot.
   */
  async #isNeeded({ header }: Candidate): Promise<boolean> {
    const numbers = (kind: FileHeader['kind']): number[] =>
      [...this.#candidates.values()]
        .flat()
        .filter((one) => one.file.isNamed && one.header.kind === kind)
        .map((one) => one.header.number);
    const [logs, snapshots] = [numbers('log'), numbers('snapshot')];
    const isSnapshotMissing = snapshots.length === 0;
    if (header.kind === 'snapshot') {
      return isSnapshotMissing && logs.every((number) => number > header.number);
    }
    if (header.number <= Math.max(-1, ...snapshots)) return false;
    if (logs.some((number) => number > header.number)) return true;
    const before = await this.#endBefore(header.number, snapshots);
    return before !== undefined && isSamePredecessor(before, header.predecessor);
  }

  /** The end of the log before a number, or of the snapshot in its place. */
  async #endBefore(number: number, snapshots: readonly number[]): Promise<Predecessor | undefined> {
    const before = this.#candidates.get(logName(number - 1))?.[0];
    if (before !== undefined) return this.#endOf(before);
    if (!snapshots.includes(number - 1)) return undefined;
    const snapshot = [...this.#candidates.values()]
      .flat()
      .find(({ header }) => header.kind === 'snapshot' && header.number === number - 1);
    return snapshot?.header.predecessor;
  }

  async #endOf({ file, header }: Candidate): Promise<Predecessor> {
    const { number } = header;
    const { validBytes, lastSequence, chain } = await this.#scan(file.name, number);
    return { number, lengthBytes: validBytes, lastSequence, chain };
  }

  #scan(name: string, number: number): Promise<LogScan> {
    return scanLog(this.#fs, join(this.#directory, name), {
      number,
      storeId: this.#storeId,
      signal: this.#signal,
      onProgress: () => undefined,
    });
  }

  /** Quality of a copy: whether its successor follows it, whether it is valid, and how far. */
  async #quality({ file, header }: Candidate): Promise<readonly number[]> {
    const { number, kind } = header;
    if (kind === 'snapshot') {
      const opened = await this.#fs.open(join(this.#directory, file.name), 'r');
      try {
        const read = await readSnapshot(opened, number);
        return [0, read.kind === 'snapshot' ? 1 : 0, (await opened.stat()).sizeBytes];
      } finally {
        await opened.close();
      }
    }
    const { validBytes, lastSequence, chain, ending } = await this.#scan(file.name, number);
    const next = this.#candidates.get(logName(number + 1))?.[0]?.header.predecessor;
    const end = { number, lengthBytes: validBytes, lastSequence, chain };
    const isFollowed = next !== undefined && isSamePredecessor(next, end);
    const isSound = ending.kind === 'sealed' || ending.kind === 'end';
    return [isFollowed ? 1 : 0, isSound ? 1 : 0, validBytes];
  }
}

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

/** A name that leads to another file than it should. */
export interface Move {
  /** Name in the directory. */
  readonly from: string;
  /** The name that the file should have; undefined: it belongs nowhere, and is set aside. */
  readonly to: string | undefined;
  /** Why, as a phrase about the file. */
  readonly reason: string;
}

/**
 * What has to be renamed or set aside in a damaged directory before anything in it is given up for
 * lost: the header of every log and snapshot says which store's and which number it is. Reads only.
 *
 * - Files of the store that the lock file claims, or else most headers name, go where their headers
 *   say.
 * - Of several for one place the one is taken that the next log follows, or else that verifies the
 *   furthest.
 * - Files under names that are none of ours (`.bak`, ` (1)`) are taken only where one is missing or
 *   bad.
 * - What is of another store, or a second copy, is set aside. A file without a header that verifies
 *   stays, unless its place is another one's.
 *
 * Rejects with the system's error or the signal's reason.
 */
export async function planMoves(
  fs: FileSystem,
  directory: string,
  signal: AbortSignal,
): Promise<readonly Move[]> {
  // The claim first: what it names was there before.
  const claim = await readClaim(fs, directory);
  const files = await findFiles(fs, directory);
  const storeId = findStoreId(files, claim);
  if (storeId === undefined) return [];
  return new Placement(fs, directory, signal, storeId, files).plan();
}

/** A file that could stand in a place, and how well. */
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
  /** Files of the store by the name that they should have. */
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
    const reason = 'its header does not verify, and another file is the one that belongs there';
    return chosen.has(from) ? { from, to: undefined, reason } : undefined;
  }

  /**
   * The best file for a place; undefined if only files under foreign names are, and none is needed.
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
   * Whether a file under a foreign name is missing: in a gap, at the end that it continues, or as
   * the snapshot.
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

  /** How the log before a number ends, or the snapshot that is in its place. */
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

  /**
   * How good a copy is: whether what comes next was written behind it, whether it verifies, how
   * far.
   */
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

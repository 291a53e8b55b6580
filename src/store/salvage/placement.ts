import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { readClaim } from '../../directory/claim-file.ts';
import type { Claim } from '../../format/claim.ts';
import type { FileHeader, Predecessor } from '../../format/file-header.ts';
import { logName, parseFileName, snapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { isSamePredecessor } from '../recovery/verdict.ts';
import {
  holdsAllOf,
  readLogCopy,
  readSnapshotCopy,
  type CopyOf,
  type LogCopy,
} from './file-copies.ts';
import {
  findFiles,
  findStoreId,
  isHigher,
  placeOf,
  type FoundFile,
  type Rank,
} from './found-files.ts';
import { hasFrameOf } from './store-id.ts';

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
 * - Files of the store get the names in their headers. The store is the one in the claim if a log
 *   or a snapshot is of it, or the one that most headers name.
 * - If several files have the same name, the one of which salvage keeps the most is chosen. Of
 *   logs, this is the one that the next log follows, else the one with the last batch, also behind
 *   damage; of snapshots, a whole one, else the one with the most records. A file with an invalid
 *   header takes part if a frame of it verifies.
 * - Files under foreign names (`.bak`, ` (1)`) are used only if one is missing or damaged. Such a
 *   file replaces a log only if it has all frames of the log, or if the next log follows it and the
 *   log has no later batch.
 * - Files of another store and second copies are set aside. A file with an invalid header stays,
 *   unless another file needs its name.
 *
 * Rejects with the system error or the signal's reason.
 *
 * @throws StoreError LODESTORE_UNSUPPORTED_FORMAT if a later version wrote a log or a snapshot
 */
export async function planMoves(
  fs: FileSystem,
  directory: string,
  signal: AbortSignal,
): Promise<readonly Move[]> {
  // Reads the claim first: what it names existed before.
  const claim = await readClaim(fs, directory);
  const files = await findFiles(fs, directory);
  const storeId = await provenStoreId(fs, directory, files, claim);
  if (storeId === undefined) return [];
  return new Placement(fs, directory, signal, storeId, files).plan();
}

/**
 * The id of the directory's store. A frame in a file with an invalid header can prove that it is
 * the claimed one.
 */
async function provenStoreId(
  fs: FileSystem,
  directory: string,
  files: readonly FoundFile[],
  claim: Claim | undefined,
): Promise<Uint8Array | undefined> {
  const found = findStoreId(files, claim);
  if (claim === undefined) return found;
  if (found !== undefined && equalBytes(found, claim.storeId)) return found;
  for (const { name } of files.filter(({ header }) => header === undefined)) {
    const parsed = parseFileName(name);
    if (parsed.kind !== 'log' && parsed.kind !== 'snapshot') continue;
    const file = { kind: parsed.kind, number: parsed.number, path: join(directory, name) };
    if (await hasFrameOf(fs, file, claim.storeId)) return claim.storeId;
  }
  return found;
}

/** A file that could get a name. */
interface Candidate {
  readonly file: FoundFile;
  readonly kind: FileHeader['kind'];
  readonly number: number;
  /** Undefined: it is invalid, and the file has the name itself. */
  readonly header: FileHeader | undefined;
}

/** A candidate that was read, to be compared with others for the same name. */
interface Copy {
  readonly file: FoundFile;
  readonly rank: Rank;
  /** Whether nothing is given up if this one, under a foreign name, replaces another. */
  readonly mayReplace: (other: Copy) => boolean;
  readonly log: LogCopy | undefined;
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
      const { kind, number } = header;
      this.#add(placeOf(header), { file, kind, number, header });
    }
  }

  #add(place: string, candidate: Candidate): void {
    this.#candidates.set(place, [...(this.#candidates.get(place) ?? []), candidate]);
  }

  #isOurs(header: FileHeader): boolean {
    return equalBytes(header.storeId, this.#storeId);
  }

  async plan(): Promise<Move[]> {
    await this.#addHeaderless();
    const chosen = new Map<string, FoundFile>();
    for (const [place, candidates] of this.#candidates) {
      const file = await this.#choose(place, candidates);
      if (file !== undefined) chosen.set(place, file);
    }
    return this.#files.flatMap((file) => this.#moveOf(file, chosen) ?? []);
  }

  /** A file with an invalid header may hold more than the other candidates for its name. */
  async #addHeaderless(): Promise<void> {
    for (const file of this.#files) {
      if (file.header !== undefined || !this.#candidates.has(file.name)) continue;
      const parsed = parseFileName(file.name);
      if (parsed.kind !== 'log' && parsed.kind !== 'snapshot') continue;
      const named = { kind: parsed.kind, number: parsed.number, path: this.#path(file) };
      if (!(await hasFrameOf(this.#fs, named, this.#storeId))) continue;
      this.#add(file.name, { ...named, file, header: undefined });
    }
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
    const place = chosen.get(from);
    return place === undefined || place === file ? undefined : { from, to: undefined, reason };
  }

  /**
   * The best file for a name. Undefined if only files under foreign names exist and none is needed.
   */
  async #choose(place: string, candidates: readonly Candidate[]): Promise<FoundFile | undefined> {
    const isNamed = candidates.some(({ file }) => file.isNamed);
    const usable = isNamed ? candidates : await this.#needed(candidates);
    if (usable.length < 2) return usable[0]?.file;
    const copies: Copy[] = [];
    for (const candidate of usable) copies.push(await this.#copyOf(place, candidate));
    const named = copies.filter(({ file }) => file.isNamed);
    const foreign = copies.filter(({ file }) => !file.isNamed);
    if (named.length === 0) return highest(copies).file;
    return foreign.reduce(
      (best, copy) => (isHigher(copy.rank, best.rank) && copy.mayReplace(best) ? copy : best),
      highest(named),
    ).file;
  }

  async #needed(candidates: readonly Candidate[]): Promise<Candidate[]> {
    const needed: Candidate[] = [];
    for (const candidate of candidates) {
      const { header } = candidate;
      if (header !== undefined && (await this.#isNeeded(header))) needed.push(candidate);
    }
    return needed;
  }

  /**
   * Whether a file under a foreign name fills a gap, continues the last log, or is the missing
   * snapshot.
   */
  async #isNeeded(header: FileHeader): Promise<boolean> {
    const numbers = (kind: FileHeader['kind']): number[] =>
      [...this.#candidates.values()]
        .flat()
        .filter((one) => one.file.isNamed && one.header?.kind === kind)
        .map((one) => one.number);
    const [logs, snapshots] = [numbers('log'), numbers('snapshot')];
    if (header.kind === 'snapshot') {
      return snapshots.length === 0 && this.#isMissing(header, logs);
    }
    if (header.number <= Math.max(-1, ...snapshots)) return false;
    if (logs.some((number) => number > header.number)) return true;
    const before = await this.#endBefore(header.number);
    return before !== undefined && isSamePredecessor(before, header.predecessor);
  }

  /**
   * Whether a snapshot is the one that the logs began with. Merged logs may still be there: then
   * the next log must follow the snapshot, or the last merged log must end as the snapshot says.
   */
  async #isMissing(snapshot: FileHeader, logs: readonly number[]): Promise<boolean> {
    const { number, predecessor } = snapshot;
    if (logs.every((log) => log > number)) return true;
    const next = this.#known(logName(number + 1))?.header;
    const end = next?.predecessor ?? (await this.#endOf(number));
    return end !== undefined && isSamePredecessor(end, predecessor);
  }

  /** The end of the log before a number, or of the snapshot in its place. */
  async #endBefore(number: number): Promise<Predecessor | undefined> {
    const end = await this.#endOf(number - 1);
    const snapshot = this.#known(snapshotName(number - 1));
    return end ?? (snapshot?.file.isNamed === true ? snapshot.header?.predecessor : undefined);
  }

  async #endOf(number: number): Promise<Predecessor | undefined> {
    const log = this.#known(logName(number));
    if (log === undefined) return undefined;
    return (await readLogCopy(this.#fs, this.#copy(log), this.#signal)).end;
  }

  /** The candidate with a valid header by which others are judged: one with a proper name first. */
  #known(place: string): Candidate | undefined {
    const known = (this.#candidates.get(place) ?? []).filter((one) => one.header !== undefined);
    return known.find(({ file }) => file.isNamed) ?? known[0];
  }

  /** Reads a candidate. The rank is by what salvage would keep of it. */
  async #copyOf(place: string, candidate: Candidate): Promise<Copy> {
    const { file, kind, number, header } = candidate;
    const next = this.#known(logName(number + 1))?.header?.predecessor;
    const names = [file.name === place ? 1 : 0, file.isNamed ? 1 : 0];
    if (kind === 'snapshot') {
      const { isWhole, recordCount } = await readSnapshotCopy(this.#fs, this.#copy(candidate));
      const isOther =
        next !== undefined && header !== undefined && !isSamePredecessor(next, header.predecessor);
      const rank = [isOther ? 0 : 1, isWhole ? 1 : 0, isWhole ? 0 : recordCount, ...names];
      return { file, rank, log: undefined, mayReplace: () => true };
    }
    const log = await readLogCopy(this.#fs, this.#copy(candidate), this.#signal);
    const isFollowed = next !== undefined && isSamePredecessor(next, log.end);
    const rank = [
      isFollowed ? 1 : 0,
      log.lastSequence,
      log.frames.size,
      log.isSound ? 1 : 0,
      log.end.lengthBytes,
      ...names,
    ];
    const mayReplace = ({ log: other }: Copy): boolean =>
      other !== undefined &&
      ((isFollowed && log.lastSequence >= other.lastSequence) || holdsAllOf(log, other));
    return { file, rank, log, mayReplace };
  }

  #copy({ file, number }: Candidate): CopyOf {
    return { path: this.#path(file), number, storeId: this.#storeId };
  }

  #path({ name }: FoundFile): string {
    return join(this.#directory, name);
  }
}

function highest(copies: readonly Copy[]): Copy {
  return copies.reduce((best, copy) => (isHigher(copy.rank, best.rank) ? copy : best));
}

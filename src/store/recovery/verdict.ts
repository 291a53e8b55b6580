import { equalBytes } from '../../base/bytes.ts';
import type { CorruptionDetail } from '../../base/errors.ts';
import type { Predecessor } from '../../format/file-header.ts';
import type { LogScan } from '../../log/log-report.ts';
import { damageHint } from './advice.ts';
import type { SnapshotState } from './snapshot-state.ts';
import type { TornTail } from './recovery-report.ts';
import { unsupportedFormat } from './unsupported-format.ts';

/** The result of reading a log. */
export interface LoadedLog {
  readonly number: number;
  readonly path: string;
  readonly scan: LogScan;
}

/**
 * The repair of the last log before anything is written after it: bytes that nothing later proves
 * synced are rewritten. `discard`: the log has no complete group and is removed.
 */
export type TailRepair =
  | { readonly kind: 'discard'; readonly path: string }
  | {
      readonly kind: 'rewrite';
      readonly path: string;
      readonly fromOffset: number;
      /** Bytes after it are truncated. */
      readonly toOffset: number;
    };

/** The judgement of the logs. If there is damage, the other fields must not be acted on. */
export interface Verdict {
  readonly damages: readonly CorruptionDetail[];
  /** Non-empty logs, in order. */
  readonly logs: readonly LoadedLog[];
  /** Logs that were prepared, maybe incompletely, and never written. */
  readonly blankPaths: readonly string[];
  /** The predecessor that the next log will refer to. */
  readonly last: Predecessor;
  readonly tail: TailRepair | undefined;
  readonly torn: TornTail | undefined;
  readonly highestEpoch: number;
}

const NO_PREDECESSOR: Predecessor = { number: 0, lengthBytes: 0, lastSequence: 0n, chain: 0 };

/** The predecessor that the first log after the snapshot must refer to. */
export function predecessorOf(snapshot: SnapshotState | undefined): Predecessor {
  if (snapshot === undefined) return NO_PREDECESSOR;
  if (snapshot.format === 'lodestore') return snapshot.file.header.predecessor;
  return { ...NO_PREDECESSOR, number: snapshot.number };
}

/** Whether both describe the same log. */
export function isSamePredecessor(a: Predecessor, b: Predecessor): boolean {
  return (
    a.number === b.number &&
    a.lengthBytes === b.lengthBytes &&
    a.lastSequence === b.lastSequence &&
    a.chain === b.chain
  );
}

/** The predecessor that the log after this one must refer to. */
export function asPredecessor(log: LoadedLog): Predecessor {
  const { validBytes, lastSequence, chain } = log.scan;
  return { number: log.number, lengthBytes: validBytes, lastSequence, chain };
}

/**
 * True for a log that was prepared and never written. It has zeros or, after a crash during the
 * preparation, previous contents of the disk, but no header or frame of this store.
 */
export function isBlank(scan: LogScan): boolean {
  if (scan.format === 'empty') return true;
  const hasNothing = scan.header === undefined && scan.frameCount === 0;
  return hasNothing && scan.ending.kind === 'broken' && scan.ending.later.kind === 'none';
}

/**
 * Applies the decision table of recovery to all logs newer than the snapshot, in ascending order.
 */
export function judgeLogs(
  directory: string,
  snapshot: SnapshotState | undefined,
  storeId: Uint8Array,
  loaded: readonly LoadedLog[],
): Verdict {
  return new Judge(directory, snapshot, storeId).judge(loaded);
}

class Judge {
  readonly #directory: string;
  readonly #snapshot: SnapshotState | undefined;
  readonly #storeId: Uint8Array;
  readonly #damages: CorruptionDetail[] = [];

  constructor(directory: string, snapshot: SnapshotState | undefined, storeId: Uint8Array) {
    this.#directory = directory;
    this.#snapshot = snapshot;
    this.#storeId = storeId;
  }

  judge(loaded: readonly LoadedLog[]): Verdict {
    const logs = loaded.filter((log) => !isBlank(log.scan));
    const lastNumber = logs.at(-1)?.number ?? -1;
    const orphan = loaded.find((log) => log.number > 1);
    if (this.#snapshot === undefined && logs.length === 0 && orphan !== undefined) {
      this.#damage(orphan, 0, 'a log was prepared, but the snapshot before it is missing');
    }
    for (const log of loaded) {
      if (isBlank(log.scan) && log.number < lastNumber) {
        this.#damage(log, 0, 'the log is empty, but a later one is not');
      }
    }
    let expected = this.#firstPredecessor(logs);
    let highestEpoch = this.#snapshotEpoch();
    let last = expected;
    logs.forEach((log, i) => {
      const epoch = this.#checkLog(log, expected, highestEpoch, i === logs.length - 1);
      highestEpoch = Math.max(highestEpoch, epoch);
      expected = asPredecessor(log);
      // A last log without a complete group counts as absent.
      if (log.scan.frameCount > 0) last = expected;
    });
    const blank = loaded.filter((log) => isBlank(log.scan));
    const { tail, torn } = tailOf(logs.at(-1));
    // If the whole first group was torn, the log has neither header nor frame.
    const tornFirst = blank.map(({ path, scan }) => tornTailOf(path, scan)).find(Boolean);
    return {
      damages: this.#damages,
      logs,
      blankPaths: blank.map((log) => log.path),
      last,
      tail,
      torn: torn ?? tornFirst,
      highestEpoch,
    };
  }

  #snapshotEpoch(): number {
    return this.#snapshot?.format === 'lodestore' ? this.#snapshot.file.header.epoch : 0;
  }

  #firstPredecessor(logs: readonly LoadedLog[]): Predecessor {
    const first = logs[0];
    if (this.#snapshot !== undefined || first === undefined) return predecessorOf(this.#snapshot);
    // The ancestor's first log may be 0 or 1, before its first snapshot.
    if (first.scan.format === 'ancestor' && first.number <= 1) {
      return { ...NO_PREDECESSOR, number: first.number - 1 };
    }
    this.#damage(first, 0, 'there are logs, but the snapshot before them is missing');
    return { ...NO_PREDECESSOR, number: first.number - 1 };
  }

  /** Checks one non-empty log. Returns its epoch. */
  #checkLog(log: LoadedLog, expected: Predecessor, epoch: number, isLast: boolean): number {
    const { ending } = log.scan;
    if (ending.kind === 'unsupported') throw unsupportedFormat(log.path, ending.version);
    if (log.number !== expected.number + 1) {
      const missing = `log ${expected.number + 1} is missing: log ${log.number} follows ${expected.number}`;
      this.#damage(log, 0, missing);
    } else if (ending.kind === 'corrupt') {
      this.#damage(log, ending.offset, ending.reason);
    } else if (ending.kind === 'broken') {
      this.#checkBroken(log, ending, isLast);
    }
    return log.scan.format === 'lodestore'
      ? this.#checkHeader(log, expected, epoch)
      : this.#checkAncestor(log, expected);
  }

  #checkBroken(
    log: LoadedLog,
    ending: Extract<LogScan['ending'], { kind: 'broken' }>,
    isLast: boolean,
  ): void {
    if (ending.later.kind === 'frames') {
      const proof = `a later frame, at offset ${ending.later.offset}, proves that it had been synced`;
      this.#damage(log, ending.offset, `${ending.reason}; ${proof}`);
    } else if (!isLast) {
      const proof = 'a later log proves that it had been synced';
      this.#damage(log, ending.offset, `${ending.reason}; ${proof}`);
    }
  }

  #checkHeader(log: LoadedLog, expected: Predecessor, epoch: number): number {
    const { header } = log.scan;
    if (header === undefined) return epoch;
    if (!equalBytes(header.storeId, this.#storeId)) {
      this.#damage(log, 0, 'the log belongs to another store');
    } else if (header.epoch < epoch) {
      this.#damage(log, 0, `the log is of epoch ${header.epoch}, older than ${epoch} before it`);
    } else if (
      log.number === expected.number + 1 &&
      !isSamePredecessor(header.predecessor, expected)
    ) {
      const { number, lengthBytes, lastSequence } = header.predecessor;
      const found = `log ${expected.number} of ${expected.lengthBytes} bytes up to sequence ${expected.lastSequence}`;
      const named = `log ${number} of ${lengthBytes} bytes up to sequence ${lastSequence}`;
      this.#damage(log, 0, `the log follows ${named}, but the preceding one is ${found}`);
    }
    return header.epoch;
  }

  #checkAncestor(log: LoadedLog, expected: Predecessor): number {
    if (expected.lastSequence > 0n || this.#snapshot?.format === 'lodestore') {
      this.#damage(log, 0, 'the file is not a log of this store: its magic does not match');
    }
    return 0;
  }

  #damage(log: LoadedLog, offset: number, reason: string): void {
    const { scan } = log;
    this.#damages.push({
      path: log.path,
      offset,
      reason,
      firstSequence: scan.format === 'lodestore' ? scan.lastSequence + 1n : undefined,
      affectedBytes: scan.fileBytes - offset,
      hint: damageHint(this.#directory),
    });
  }
}

function tornTailOf(path: string, scan: LogScan): TornTail | undefined {
  if (scan.ending.kind !== 'broken') return undefined;
  const { validBytes, fileBytes } = scan;
  const { reason, later } = scan.ending;
  const unsyncedUpTo = later.kind === 'unsynced' ? later.lastSequence : undefined;
  return { path, offset: validBytes, droppedBytes: fileBytes - validBytes, reason, unsyncedUpTo };
}

function tailOf(log: LoadedLog | undefined): Pick<Verdict, 'tail' | 'torn'> {
  if (log === undefined) return { tail: undefined, torn: undefined };
  const { scan, path } = log;
  const torn = tornTailOf(path, scan);
  if (scan.unprovenFrom === undefined) return { tail: { kind: 'discard', path }, torn };
  const tail: TailRepair = {
    kind: 'rewrite',
    path,
    fromOffset: scan.unprovenFrom,
    toOffset: scan.validBytes,
  };
  return { tail, torn };
}

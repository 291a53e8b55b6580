import { DEFAULT_MERGE_BYTES, DEFAULT_ROTATE_BYTES } from '../base/limits.ts';

/**
 * Constants measured by `bench/capacity.mjs` on stores of 1 and 10 million records with 0, 16 and
 * 100 bytes of data (random bytes: data that compresses takes less disk), Node 20 on x64 Linux with
 * two cores, files in memory.
 */
interface MeasuredKind {
  /**
   * Disk of a record beside its data, after a merge: key and value, compressed. 2.91 to 3.03; 10.81
   * to 11.11.
   */
  readonly diskBytes: number;
  /**
   * Memory of a record beside its data: columns of 4 bytes, of 8 where halves do not do. Exactly
   * so.
   */
  readonly tableBytes: number;
}

const MEASURED: Readonly<Record<'ascending' | 'random', MeasuredKind>> = {
  ascending: { diskBytes: 2.98, tableBytes: 8 },
  random: { diskBytes: 11, tableBytes: 16 },
};

/** Resident set of a process that has loaded lodestore and opened nothing. 63 to 72 MB. */
const PROCESS_BYTES = 68_500_000;
/** What opening leaves in the process beside the table, at most half of the table. 1 to 60 MB. */
const OPENING_BYTES = 30_000_000;
/** Beside the table, of a process that writes without a pause: queues, merges, threads. */
const WRITING_BYTES = 300_000_000;
/** Of each record then, rows and index of updates that no merge has taken in. */
const WRITING_ROW_BYTES = 20;
/** Chunks that are being replaced, and rows in two places. */
const WRITING_TABLES = 3;

/**
 * The fastest and the slowest opening that was seen, with room: nanoseconds of a record and of a
 * byte.
 */
const OPEN_FAST = { fixedMs: 15, recordNs: 18, byteNs: 0.5 };
const OPEN_SLOW = { fixedMs: 300, recordNs: 150, byteNs: 4 };

export interface CapacityQuestion {
  readonly records: number;
  /** Bytes of data of a record, on average. */
  readonly dataBytes: number;
  /** Ids that grow with time, not random ones. */
  readonly ascending: boolean;
}

export interface Capacity {
  readonly disk: {
    /** Right after a merge. */
    readonly restBytes: number;
    /** While a merge runs: the logs that it takes in, and the old snapshot beside the new one. */
    readonly mostBytes: number;
  };
  readonly memory: {
    /** What `store.stats().memory` shows of a store that has been opened. */
    readonly tableBytes: number;
    /** The resident set of its process. */
    readonly residentBytes: number;
    /** The same while it is written to without a pause. */
    readonly writingBytes: number;
  };
  /**
   * A range for two cores, idle, with the files in the page cache; a disk adds the time that it
   * takes to read them.
   */
  readonly open: { readonly fromMs: number; readonly toMs: number };
}

/** What a store of so many records takes. */
export function capacityOf(question: CapacityQuestion): Capacity {
  const { records, dataBytes, ascending } = question;
  const kind = MEASURED[ascending ? 'ascending' : 'random'];
  const restBytes = Math.round(records * (kind.diskBytes + dataBytes));
  const logBytes = Math.max(DEFAULT_MERGE_BYTES, restBytes) + DEFAULT_ROTATE_BYTES;
  const tableBytes = Math.round(records * (kind.tableBytes + dataBytes));
  const openMs = ({ fixedMs, recordNs, byteNs }: typeof OPEN_FAST): number =>
    Math.round(fixedMs + (records * recordNs + restBytes * byteNs) / 1e6);
  return {
    disk: { restBytes, mostBytes: 2 * restBytes + logBytes },
    memory: {
      tableBytes,
      residentBytes:
        PROCESS_BYTES + tableBytes + Math.min(OPENING_BYTES, Math.round(tableBytes / 2)),
      writingBytes: WRITING_BYTES + WRITING_TABLES * tableBytes + WRITING_ROW_BYTES * records,
    },
    open: { fromMs: openMs(OPEN_FAST), toMs: openMs(OPEN_SLOW) },
  };
}

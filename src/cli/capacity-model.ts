import { DEFAULT_MERGE_BYTES, DEFAULT_ROTATE_BYTES } from '../base/limits.ts';

/**
 * Constants measured by `bench/capacity.mjs` on stores of 1 and 10 million records with 0, 16 and
 * 100 bytes of data (random bytes: compressible data takes less disk), with Node 20 on x64 Linux,
 * two cores, files in memory.
 */
interface MeasuredKind {
  /**
   * Bytes on disk of a record without its data, after a merge: key and value, compressed. Measured:
   * 2.91 to 3.03 (ascending), 10.81 to 11.11 (random).
   */
  readonly diskBytes: number;
  /**
   * Bytes in memory of a record without its data: columns of 4 bytes each, or of 8 where 4 do not
   * suffice. This figure is exact.
   */
  readonly tableBytes: number;
}

const MEASURED: Readonly<Record<'ascending' | 'random', MeasuredKind>> = {
  ascending: { diskBytes: 2.98, tableBytes: 8 },
  random: { diskBytes: 11, tableBytes: 16 },
};

/**
 * Resident set of a process that has loaded lodestore and opened no store. Measured: 63 to 72 MB.
 */
const PROCESS_BYTES = 68_500_000;
/**
 * Memory left by an open in addition to the table, at most half of the table. Measured: 1 to 60 MB.
 */
const OPENING_BYTES = 30_000_000;
/** Memory in addition to the table during continuous writes: queues, merges, threads. */
const WRITING_BYTES = 300_000_000;
/** Additional bytes per record then: rows and index of unmerged updates. */
const WRITING_ROW_BYTES = 20;
/** Factor on the table then: chunks that are being replaced, and rows held twice. */
const WRITING_TABLES = 3;

/**
 * The fastest and the slowest open that was measured, with a margin, in nanoseconds per record and
 * per byte.
 */
const OPEN_FAST = { fixedMs: 15, recordNs: 18, byteNs: 0.5 };
const OPEN_SLOW = { fixedMs: 300, recordNs: 150, byteNs: 4 };

export interface CapacityQuestion {
  readonly records: number;
  /** Mean bytes of data of a record. */
  readonly dataBytes: number;
  /** Whether ids ascend with time. Otherwise they are random. */
  readonly ascending: boolean;
}

export interface Capacity {
  readonly disk: {
    /** After a merge. */
    readonly restBytes: number;
    /** During a merge: the logs being merged, and both the old and the new snapshot. */
    readonly mostBytes: number;
  };
  readonly memory: {
    /** `store.stats().memory` of a newly opened store. */
    readonly tableBytes: number;
    /** Resident set of the process after the open. */
    readonly residentBytes: number;
    /** Resident set during continuous writes. */
    readonly writingBytes: number;
  };
  /**
   * Time to open, as a range for two idle cores with the files in the page cache. From a disk, the
   * time to read the files is added.
   */
  readonly open: { readonly fromMs: number; readonly toMs: number };
}

/** The resources that a store with this many records needs. */
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

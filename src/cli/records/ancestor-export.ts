import { join } from 'node:path';
import { viewOf, writeSafeU64 } from '../../base/bytes.ts';
import {
  ANCESTOR_ROW_BYTES,
  AncestorChecksum,
  ancestorCompressor,
  writeAncestorRowHead,
} from '../../format/ancestor-writing.ts';
import type { Columns } from '../../format/columns.ts';
import { logName, MARKER_NAME, snapshotName } from '../../format/file-name.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import type { PieceCompressor } from '../../format/zstd-library.ts';
import { writeFully } from '../../fs/write.ts';
import { RunCursor } from '../../runs/run-cursor.ts';

const LENGTH_BYTES = 8;
const CHECKSUM_BYTES = 4;
const ROWS_BYTES: number = 1024 * 1024;
const SNAPSHOT_NUMBER = 0;

/**
 * Writes records as a directory of the ancestor: a snapshot, which is one frame, and an empty log
 * after it. The log is required: during its recovery the ancestor removes a snapshot that has no
 * log.
 */
export async function writeAncestorDirectory(
  fs: FileSystem,
  directory: string,
  records: AsyncIterable<Columns>,
): Promise<{ readonly records: number; readonly lengthBytes: number }> {
  await makeFile(fs, join(directory, MARKER_NAME));
  await makeFile(fs, join(directory, logName(SNAPSHOT_NUMBER + 1)));
  const file = await fs.open(join(directory, snapshotName(SNAPSHOT_NUMBER)), 'wx');
  try {
    return await new AncestorSnapshotWriter(file).write(records);
  } finally {
    await file.close();
  }
}

async function makeFile(fs: FileSystem, path: string): Promise<void> {
  const file = await fs.open(path, 'wx');
  await file.dataSync();
  await file.close();
}

/** Uses memory for a buffer of rows and one record. */
class AncestorSnapshotWriter {
  readonly #file: OpenFile;
  readonly #compressor: PieceCompressor = ancestorCompressor();
  #rows: Uint8Array = new Uint8Array(ROWS_BYTES);
  #view: DataView = viewOf(this.#rows);
  #used = 0;
  #end = LENGTH_BYTES;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  async write(
    records: AsyncIterable<Columns>,
  ): Promise<{ readonly records: number; readonly lengthBytes: number }> {
    let recordCount = 0;
    for await (const columns of records) {
      await this.#append(columns);
      recordCount += columns.recordCount;
    }
    await this.#writePieces(this.#compressor.push(this.#rows.subarray(0, this.#used)));
    await this.#writePieces(this.#compressor.finish());
    await this.#close();
    return { records: recordCount, lengthBytes: this.#end + CHECKSUM_BYTES };
  }

  async #append(columns: Columns): Promise<void> {
    const key = { low: 0, high: 0 };
    const value = { low: 0, high: 0 };
    for (const cursor = new RunCursor([columns]); !cursor.done; cursor.next()) {
      const { dataFrom, dataLength } = cursor;
      const neededBytes = ANCESTOR_ROW_BYTES + dataLength;
      if (this.#used + neededBytes > this.#rows.length) await this.#makeRoom(neededBytes);
      key.low = cursor.keyLow;
      key.high = cursor.keyHigh;
      value.low = cursor.valueLow;
      value.high = cursor.valueHigh;
      writeAncestorRowHead(this.#view, this.#used, key, value, dataLength);
      const data = cursor.data.subarray(dataFrom, dataFrom + dataLength);
      this.#rows.set(data, this.#used + ANCESTOR_ROW_BYTES);
      this.#used += neededBytes;
    }
  }

  async #makeRoom(neededBytes: number): Promise<void> {
    await this.#writePieces(this.#compressor.push(this.#rows.subarray(0, this.#used)));
    this.#used = 0;
    if (neededBytes <= this.#rows.length) return;
    this.#rows = new Uint8Array(neededBytes);
    this.#view = viewOf(this.#rows);
  }

  async #writePieces(pieces: Iterable<Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      await writeFully(this.#file, piece, this.#end);
      this.#end += piece.length;
    }
  }

  /**
   * The length precedes the payload, is covered by the checksum, and is known only now. So the
   * payload is read back from the file to compute the checksum.
   */
  async #close(): Promise<void> {
    const length = new Uint8Array(LENGTH_BYTES);
    writeSafeU64(viewOf(length), 0, this.#end - LENGTH_BYTES);
    await writeFully(this.#file, length, 0);
    const checksum = new AncestorChecksum();
    for (let offset = 0; offset < this.#end;) {
      const piece = this.#rows.subarray(0, Math.min(this.#rows.length, this.#end - offset));
      const count = await readFully(this.#file, piece, offset);
      checksum.update(piece.subarray(0, count));
      offset += piece.length;
    }
    const tail = new Uint8Array(CHECKSUM_BYTES);
    viewOf(tail).setUint32(0, checksum.value, true);
    await writeFully(this.#file, tail, this.#end);
    await this.#file.dataSync();
  }
}

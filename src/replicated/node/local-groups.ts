import { CODEC_RAW, decompressInto } from '../../format/compression.ts';
import { crc32c } from '../../format/crc.ts';
import { rowKindsOf } from '../../format/file-header.ts';
import { decodeGroup, type GroupRows } from '../../format/group-rows.ts';
import type { LogGroup } from '../../log/log-reader.ts';
import type { CompleteGroup } from '../log/log-chain.ts';
import { LogLostError } from '../log/log-errors.ts';

/** A group that the store had at the open. */
interface LocalGroup {
  readonly firstSequence: bigint;
  readonly digest: number;
}

/**
 * The groups after the place of the position file that the store had at the open. Each is compared
 * with the shared log before the store continues. Otherwise the store would follow a log that lost
 * entries and then grew past it.
 */
export class LocalGroups {
  #groups: LocalGroup[] = [];

  /** Reads groups of the directory's logs. Must run before the first write. */
  static async read(groups: AsyncIterable<LogGroup>): Promise<LocalGroups> {
    const local = new LocalGroups();
    for await (const group of groups) {
      local.#groups.push({ firstSequence: group.firstSequence, digest: digestOf(group) });
    }
    return local;
  }

  get areVerified(): boolean {
    return this.#groups.length === 0;
  }

  /** @throws LogLostError if the shared log and the store have different groups */
  compare(position: bigint, firstSequence: bigint, rows: DecodedGroup): void {
    const local = this.#groups.shift();
    if (
      local?.firstSequence === firstSequence &&
      local.digest === digestOf({ firstSequence, ...rows })
    ) {
      return;
    }
    const reason = `it has another group with sequence ${firstSequence} than the store`;
    throw new LogLostError({ position, reason });
  }
}

export interface DecodedGroup extends GroupRows {
  /** Rows, then the batch table if there is more than one batch. */
  readonly decoded: Uint8Array;
}

/** @throws LogLostError if the payload does not decode to the contents that the entry declares */
export function decodeShared(position: bigint, group: CompleteGroup): DecodedGroup {
  const { codec, payload, decodedBytes, batchCount, recordCount, rowsVersion } = group;
  const decoded = codec === CODEC_RAW ? payload : new Uint8Array(decodedBytes);
  const isDecoded = codec === CODEC_RAW || decompressInto(decoded, payload);
  const kinds = rowKindsOf(rowsVersion);
  const rows = isDecoded ? decodeGroup(decoded, batchCount, recordCount, kinds) : 'it is not zstd';
  if (typeof rows !== 'string') return { decoded, ...rows };
  throw new LogLostError({ position, reason: `the payload does not decode: ${rows}` });
}

function digestOf({ rows, batchRecordCounts }: LogGroup): number {
  const { buffer, byteOffset, byteLength } = batchRecordCounts;
  return crc32c(new Uint8Array(buffer, byteOffset, byteLength), crc32c(rows));
}

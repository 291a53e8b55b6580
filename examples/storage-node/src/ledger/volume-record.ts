import type { VolumeFacts, VolumeStage } from '../volumes/volume.ts';
import { kindByteOf, volumeKindOf } from '../volumes/volume-header.ts';
import { ByteReader, ByteWriter } from './byte-writer.ts';

const STATES: readonly VolumeStage[] = ['creating', 'active', 'sealed', 'retired'];

/** The data of a volume's record. Its value is the live bytes plus one (no value is 0). */
export function encodeVolumeRecord(facts: Omit<VolumeFacts, 'number' | 'liveBytes'>): Buffer {
  return new ByteWriter(40)
    .byte(STATES.indexOf(facts.state))
    .byte(kindByteOf(facts.kind))
    .number(facts.bucketId)
    .number(facts.endBytes)
    .number(facts.createdMs)
    .number(facts.newestMs)
    .number(facts.markBytes)
    .number(facts.punchedDeadBytes ?? 0)
    .end();
}

export function decodeVolumeRecord(
  number: number,
  record: { readonly value: bigint; readonly data: Uint8Array },
): VolumeFacts {
  const reader = new ByteReader(record.data);
  const state = STATES[reader.byte()];
  const kind = volumeKindOf(reader.byte());
  if (state === undefined || kind === undefined) {
    throw new RangeError(`the record of volume ${number} is of a later version`);
  }
  return {
    number,
    state,
    kind,
    liveBytes: Number(record.value) - 1,
    bucketId: reader.number(),
    endBytes: reader.number(),
    createdMs: reader.number(),
    newestMs: reader.number(),
    markBytes: reader.number(),
    // Earlier versions did not record it.
    punchedDeadBytes: reader.isAtEnd ? 0 : reader.number(),
  };
}

import { viewOf } from '../../src/base/bytes.ts';
import { decodeAncestorFrame } from '../../src/format/ancestor.ts';
import { ancestorChecksum } from '../../src/format/checksum.ts';
import type { Random } from '../../src/testing/engine/random.ts';
import { disturb, mutated, oneIn, pick } from './mutation.ts';
import { compressed, decompressedWhole } from './stored-payload.ts';

/** The stored payloads of an ancestor's file, up to the first invalid frame. */
export function ancestorPayloads(bytes: Uint8Array): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  for (let offset = 0; ;) {
    const frame = decodeAncestorFrame(bytes, offset);
    if (frame.kind !== 'frame') return payloads;
    payloads.push(frame.payload.slice());
    offset += frame.lengthBytes;
  }
}

/** A file with these payloads and valid lengths and checksums. */
export function ancestorFile(payloads: readonly Uint8Array[]): Uint8Array {
  const parts = payloads.flatMap((payload) => {
    const head = new Uint8Array(8 + payload.length);
    viewOf(head).setBigUint64(0, BigInt(payload.length), true);
    head.set(payload, 8);
    const checksum = new Uint8Array(4);
    viewOf(checksum).setUint32(0, ancestorChecksum(head), true);
    return [head, checksum];
  });
  return new Uint8Array(Buffer.concat(parts));
}

function disturbAncestorRows(random: Random, rows: Uint8Array): Uint8Array {
  const bytes = rows.slice();
  const view = viewOf(bytes);
  const offsets = [0];
  for (let offset = 0; offset + 24 <= bytes.length && offsets.length < 5000;) {
    offsets.push(offset);
    offset += 24 + Number(view.getBigUint64(offset + 16, true) & 0xffff_ffffn);
  }
  disturb(random, bytes, pick(random, offsets) + pick(random, [0, 8, 16, 16]), 8);
  return bytes;
}

/** Changes the contents of a payload, or its stored bytes. */
export function disturbAncestorPayload(random: Random, payload: Uint8Array): Uint8Array {
  const rows = decompressedWhole(payload);
  if (rows === undefined || oneIn(random, 3)) return mutated(random, payload, payload);
  const changed = oneIn(random, 2)
    ? disturbAncestorRows(random, rows)
    : mutated(random, rows, rows);
  return compressed(changed);
}

/** Changes an ancestor's file and keeps its checksums valid. */
export function disturbAncestorFile(random: Random, bytes: Uint8Array): Uint8Array {
  const payloads = ancestorPayloads(bytes);
  if (payloads.length === 0) return mutated(random, bytes, bytes);
  const at = random.below(payloads.length);
  const payload = payloads[at]!;
  switch (random.below(6)) {
    case 0:
      payloads.splice(at, 1);
      break;
    case 1:
      payloads.splice(random.below(payloads.length + 1), 0, payload);
      break;
    default:
      payloads[at] = disturbAncestorPayload(random, payload);
  }
  return ancestorFile(payloads);
}

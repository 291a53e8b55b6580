import type { Marks } from '../objects/marks.ts';
import type { NodeParts } from '../objects/node-parts.ts';
import type { WalkedRecord } from '../volumes/record-walk.ts';
import type { Liveness } from './liveness.ts';

const NOTHING = new Uint8Array();

export interface LostCopyParts {
  readonly parts: NodeParts;
  readonly liveness: Liveness;
  readonly marks: Marks;
}

/**
 * Writes a mark about a copy whose original was deleted or replaced while it was copied: a rebuild
 * of the metadata must not find it. The copy may be in a later volume than the tombstone of the
 * deletion is about.
 *
 * An object's mark is about its sequence, and not about its name, whose next PUT may be under way
 * with a sequence that is lower than that of the mark.
 */
export function markLostCopy(
  record: WalkedRecord,
  { parts, liveness, marks }: LostCopyParts,
): void {
  const { header } = record;
  const bucket = { id: header.bucketId };
  if (header.kind === 'bucket') {
    marks.tombstone({ bucket, name: NOTHING, sequence: parts.counters.takeSerial() });
    return;
  }
  // A newer object of the name has a higher sequence, and counts.
  if (header.kind !== 'object' || liveness.isNameTaken(record)) return;
  const name = Buffer.from(liveness.nameOf(record)!, 'latin1');
  const sequence = parts.counters.takeSerial();
  void marks.voidRecord({ bucket, name, sequence, voided: header.sequence });
}

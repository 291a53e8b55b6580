import { CorruptionError } from '../../base/errors.ts';
import type { Damage } from '../../inspection/damage.ts';
import { countOf, formatBytes, formatCount, groupDigits } from '../output/number-text.ts';

/** The affected data, as a clause. Empty if unknown. */
export function consequenceOf(damage: Damage): string {
  const { firstSequence, lastSequence, affectedBytes, firstKey, lastKey, records } = damage;
  const parts: string[] = [];
  if (records !== undefined) {
    parts.push(`${countOf(records, 'record')} with keys ${firstKey} to ${lastKey}`);
  }
  if (firstSequence !== undefined) {
    parts.push(
      lastSequence === undefined
        ? `batches from sequence ${formatCount(firstSequence)} on`
        : `batches of sequence ${formatCount(firstSequence)} to ${formatCount(lastSequence)}`,
    );
  }
  if (affectedBytes !== undefined) parts.push(`${formatBytes(affectedBytes)} of the file`);
  return parts.length === 0 ? '' : `affected: ${parts.join(', ')}`;
}

/** The place and the reason, without the name of the file. */
export function placeText({ offset, reason }: Pick<Damage, 'offset' | 'reason'>): string {
  return `offset ${formatCount(offset)}: ${groupDigits(reason)}`;
}

/** The first damage as an error, so that all commands report it in the same words. */
export function damageError(damages: readonly Damage[], hint: string): CorruptionError {
  const first = damages[0]!;
  const more = damages.length - 1;
  const reason = more === 0 ? first.reason : `${first.reason} (and ${countOf(more, 'place')} more)`;
  return new CorruptionError({ ...first, reason, hint });
}

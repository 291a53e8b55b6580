import type { Move } from '../../store/salvage/placement.ts';
import type { Loss } from '../../store/recovery/recovery-report.ts';
import { formatCount, groupDigits } from '../output/number-text.ts';

/** Describes a file that was read under another name. */
export function moveText({ from, to, reason }: Move): string {
  return to === undefined ? `left out: ${from}: ${reason}` : `${from} was read as ${to}: ${reason}`;
}

/** Describes what could not be kept, as a clause. */
export function lossText(loss: Loss): string {
  const { path, fromOffset, toOffset, reason, firstSequence, firstKey } = loss;
  const parts = [
    toOffset > fromOffset
      ? `${path}, offsets ${formatCount(fromOffset)} to ${formatCount(toOffset)}`
      : path,
  ];
  if (firstSequence !== undefined) {
    const { lastSequence } = loss;
    parts.push(
      lastSequence === firstSequence
        ? `the batch of sequence ${formatCount(firstSequence)}`
        : `batches from sequence ${formatCount(firstSequence)} to ${lastSequence === undefined ? 'unknown' : formatCount(lastSequence)}`,
    );
  }
  if (firstKey !== undefined) {
    parts.push(`keys ${firstKey} to ${loss.lastKey ?? 'unknown'}`);
  }
  const whose = firstSequence === undefined && firstKey === undefined ? 'some' : 'these';
  const older = loss.olderValuesMayShow ? `; ${whose} keys may have older values` : '';
  return `${parts.join(', ')}: ${groupDigits(reason)}${older}`;
}

import { NodeRefusedError } from './node-errors.ts';
import { volumeFileName } from './volumes/volume-set.ts';

const REMOVED_ADVICE =
  'Move these files out of "volumes": the metadata needs none of their bytes. Do not run ' +
  '"lodestore-node rebuild-index" with them: it brings deleted objects back';

const BEGUN_ADVICE =
  'If a backup was restored, move these files out of "volumes": they hold only what was stored ' +
  'after its metadata was copied. Otherwise restore newer metadata, or run ' +
  '"lodestore-node rebuild-index"';

function listOf(numbers: readonly number[]): string {
  return numbers.map(volumeFileName).join(', ');
}

/**
 * The refusal of volumes that are this node's and that its metadata does not have. Numbers are
 * never reused: the metadata had each volume below its `nextVolume`, and has removed it since.
 * Later numbers were taken after the metadata was copied.
 */
export function unknownVolumes(numbers: readonly number[], nextVolume: number): NodeRefusedError {
  const removed = numbers.filter((number) => number < nextVolume);
  const begun = numbers.filter((number) => number >= nextVolume);
  if (removed.length === 0) {
    const message = `the metadata is older than ${listOf(begun)}, begun by this node since`;
    return new NodeRefusedError('LOST_METADATA', message, BEGUN_ADVICE);
  }
  const message =
    `the metadata does not have ${listOf(removed)}: emptied and removed by this node before the ` +
    'metadata was copied';
  if (begun.length === 0) return new NodeRefusedError('LOST_METADATA', message, REMOVED_ADVICE);
  const also =
    `. It is older than ${listOf(begun)}, begun since. If a backup was restored, move these out, ` +
    'too: they hold only what was stored later. Otherwise restore newer metadata';
  return new NodeRefusedError('LOST_METADATA', message, REMOVED_ADVICE + also);
}

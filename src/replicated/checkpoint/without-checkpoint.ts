import { CorruptionError, PositionExpiredError } from '../../base/errors.ts';

/** The error of a node that is behind a trimmed log. The message says what to do. */
export function withoutCheckpoint(
  { message, position, oldestPosition, lastPosition }: PositionExpiredError,
  newest: bigint | 'none' | undefined,
): PositionExpiredError {
  const found =
    newest === undefined
      ? 'the node was opened without checkpoints'
      : newest === 'none'
        ? 'there is no checkpoint'
        : `the newest checkpoint is at ${newest}`;
  const remedy =
    newest === undefined
      ? 'Open it with the checkpoints of the other nodes.'
      : 'Write a checkpoint on a node that follows the log, and open this one again. If there is none, the repair of the node with the most batches begins another log (docs/guides/replicate.md).';
  return new PositionExpiredError(`${message}, and ${found}. ${remedy}`, {
    position,
    oldestPosition,
    lastPosition,
  });
}

/** The error of a damaged node that nothing can fill again. The message says what to do. */
export function irreplaceable(cause: CorruptionError, directory: string): CorruptionError {
  const { path = directory, offset, reason } = cause;
  const hint = `Neither a checkpoint nor the log can replace ${directory}: give the checkpoints of the other nodes, or keep a copy and run lodestore salvage on its newest generation-…/store.`;
  return new CorruptionError({ path, offset, reason, hint }, { cause });
}

import { NodeRefusedError } from '../node-errors.ts';
import type { HeaderFault } from './volume-header.ts';
import { volumeFileName } from './volume-set.ts';

/** Refuses to open a node with such a volume. */
export function unusableVolume(number: number, { cause, reason }: HeaderFault): NodeRefusedError {
  const name = volumeFileName(number);
  switch (cause) {
    case 'damaged':
      return new NodeRefusedError(
        'DAMAGED',
        `the header of ${name} is damaged: ${reason}`,
        'Write its first 4,096 bytes from any backup of the file: they never change. Without one, ' +
          'move the file out of the directory "volumes", and run "lodestore-node rebuild-index", ' +
          'which drops its contents',
      );
    case 'later':
      return new NodeRefusedError(
        'FOREIGN_VOLUME',
        `${name} cannot be read: ${reason}`,
        'Use the version of lodestore-node that wrote it, or a later one',
      );
    case 'foreign':
      return new NodeRefusedError(
        'FOREIGN_VOLUME',
        `${name} is not a volume of this node: ${reason}`,
        'Move it out of the directory "volumes". If the metadata is that of another node, put back ' +
          'its own, or move it away and run "lodestore-node rebuild-index"',
      );
  }
}

import { openReservedFile } from './reserved-file.mjs';

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'overwrite, O_DSYNC',
  kind: 'file',
  setting: 'as above, the system syncs within the write: one call instead of two',
  open: (directory) => openReservedFile(directory, 'by-system'),
};

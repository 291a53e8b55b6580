import { openReservedFile } from './reserved-file.mjs';

/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'overwrite + fdatasync',
  kind: 'file',
  setting: 'space reserved and synced before; raw rows, nothing else',
  open: (directory) => openReservedFile(directory, 'fdatasync'),
};

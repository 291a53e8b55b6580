/**
 * The file system that stores and the files beside them are on: the machine's own here, a simulated
 * one with legal crash states in `lodestore/testing`. See docs/guides/test-your-code.md.
 *
 * @module
 */
export type {
  BlockingCalls,
  BlockingFile,
  BlockingLease,
  DirectoryEntry,
  DirectoryHold,
  DirectoryIdentity,
  DirectoryReference,
  FileLock,
  FileStat,
  FileSystem,
  HoldState,
  Lease,
  LeaseOptions,
  LeaseWatch,
  OpenFile,
  OpenFileStat,
  OpenMode,
} from './file-system.ts';
export { readFully } from './file-window.ts';
export { nodeFileSystem } from './node-file-system.ts';
export { writeFully, writevFully } from './write.ts';

/**
 * The file system interface of stores and of files that a program keeps beside them. This entry has
 * the implementation for the machine; `lodestore/testing` has a simulated one with legal crash
 * states. See docs/guides/test-your-code.md.
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

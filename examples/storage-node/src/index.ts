/** A storage node to embed in a program: `StorageNode.open(directory)`. */
export type {
  Body,
  BodyDescription,
  BucketInfo,
  ByteRange,
  Condition,
  ListOptions,
  ObjectDetails,
  ObjectInfo,
  ObjectList,
  ObjectMeta,
  ObjectNode,
  ObjectReader,
  OpenOptions,
  PartInfo,
  PutOptions,
  UploadInfo,
  UploadList,
  UploadListOptions,
} from './object-node.ts';
export {
  BucketNotEmptyError,
  BusyError,
  DamagedObjectError,
  InvalidPartError,
  NodeError,
  NodeRefusedError,
  NoSpaceError,
  NoSuchBucketError,
  NoSuchObjectError,
  NoSuchUploadError,
  PreconditionFailedError,
} from './node-errors.ts';
export type { NodeErrorCode } from './node-errors.ts';

export type { BucketPolicy } from './ledger/bucket-record.ts';
export type { BucketDetails } from './objects/bucket-keeper.ts';
export type { NodeOptions } from './node-options.ts';
export type { NodeRecovery } from './opening.ts';
export { StorageNode } from './storage-node.ts';
export type { FiguresSource, NodeFigures, WriteBufferFigures } from './node-figures.ts';
export { rebuildIndex } from './rebuild/rebuild-index.ts';
export type { RebuildOptions, RebuildReport } from './rebuild/rebuild-index.ts';
export type { Recount } from './upkeep/recount.ts';
export type { Damage, ScrubReport } from './upkeep/scrubber.ts';

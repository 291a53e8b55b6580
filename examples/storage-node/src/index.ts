/** A storage node that a program embeds: `StorageNode.open(directory)`. */
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
  NoSpaceError,
  NoSuchBucketError,
  NoSuchObjectError,
  NoSuchUploadError,
  PreconditionFailedError,
} from './node-errors.ts';
export type { NodeErrorCode } from './node-errors.ts';

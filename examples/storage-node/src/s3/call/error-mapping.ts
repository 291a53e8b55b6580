import { inspect } from 'node:util';
import { BusyError, NodeError, type NodeErrorCode } from '../../node-errors.ts';
import { ProtocolError, type ProtocolErrorCode } from '../base/protocol-error.ts';

const CODES: Readonly<Record<NodeErrorCode, ProtocolErrorCode>> = {
  NO_SUCH_BUCKET: 'NoSuchBucket',
  BUCKET_NOT_EMPTY: 'BucketNotEmpty',
  NO_SUCH_OBJECT: 'NoSuchKey',
  NO_SUCH_UPLOAD: 'NoSuchUpload',
  INVALID_PART: 'InvalidPart',
  PRECONDITION_FAILED: 'PreconditionFailed',
  BUSY: 'SlowDown',
  NO_SPACE: 'InsufficientStorage',
  NO_HOLES: 'InternalError',
  TOO_LARGE: 'EntityTooLarge',
  WRONG_SIZE: 'IncompleteBody',
  BAD_NAME: 'InvalidArgument',
  BAD_ETAG: 'InternalError',
  BAD_OPTION: 'InternalError',
  NO_ZSTD: 'InternalError',
  MISSING_VOLUME: 'InternalError',
  FOREIGN_VOLUME: 'InternalError',
  LOST_METADATA: 'InternalError',
  NO_NODE: 'InternalError',
  DAMAGED: 'InternalError',
  CLOSED: 'ServiceUnavailable',
};

/** Instead of the text of the S3 error. To try again is no remedy for damage. */
const TEXTS: Partial<Readonly<Record<NodeErrorCode, string>>> = {
  DAMAGED: 'The stored object is damaged and was not sent. Store it again or delete it.',
};

/** The error that a client gets. The log keeps the text of the node's own errors. */
export function protocolErrorOf(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  if (error instanceof BusyError) {
    const headers = { 'retry-after': String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))) };
    return new ProtocolError('SlowDown', undefined, { cause: error, headers });
  }
  if (error instanceof NodeError) {
    const code = CODES[error.code];
    const text = code === 'InvalidArgument' ? error.message : TEXTS[error.code];
    return new ProtocolError(code, text, { cause: error });
  }
  return new ProtocolError('InternalError', undefined, { cause: error });
}

/** For the log: the cause of a response with status 500 or higher. */
export function causeText(error: ProtocolError): string | undefined {
  if (error.status < 500 || error.cause === undefined) return undefined;
  return error.cause instanceof NodeError ? error.cause.message : inspect(error.cause);
}

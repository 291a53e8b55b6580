/** What a terminal or the reader of a log may take for something else than text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A client's name in a message: in quotes, with such characters escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(UNPRINTABLE, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}

/** Why a node refused a call. Nothing was stored, unless the message says otherwise. */
export type NodeErrorCode =
  | 'NO_SUCH_BUCKET'
  | 'BUCKET_NOT_EMPTY'
  | 'NO_SUCH_OBJECT'
  | 'NO_SUCH_UPLOAD'
  | 'INVALID_PART'
  | 'PRECONDITION_FAILED'
  | 'BUSY'
  | 'NO_SPACE'
  | 'NO_HOLES'
  | 'TOO_LARGE'
  | 'WRONG_SIZE'
  | 'BAD_NAME'
  | 'BAD_ETAG'
  | 'BAD_OPTION'
  | 'NO_ZSTD'
  | 'MISSING_VOLUME'
  | 'FOREIGN_VOLUME'
  | 'LOST_METADATA'
  | 'NO_NODE'
  | 'DAMAGED'
  | 'CLOSED';

/** Base of all errors that a node creates. */
export class NodeError extends Error {
  readonly code: NodeErrorCode;

  constructor(code: NodeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

export class NoSuchBucketError extends NodeError {
  readonly bucket: string;

  constructor(bucket: string) {
    super('NO_SUCH_BUCKET', `there is no bucket ${quoted(bucket)}`);
    this.bucket = bucket;
  }
}

export class BucketNotEmptyError extends NodeError {
  readonly bucket: string;

  constructor(bucket: string) {
    super('BUCKET_NOT_EMPTY', `bucket ${quoted(bucket)} still holds objects`);
    this.bucket = bucket;
  }
}

export class NoSuchObjectError extends NodeError {
  readonly bucket: string;
  readonly objectName: string;

  constructor(bucket: string, objectName: string) {
    super('NO_SUCH_OBJECT', `bucket ${quoted(bucket)} holds no ${quoted(objectName)}`);
    this.bucket = bucket;
    this.objectName = objectName;
  }
}

export class NoSuchUploadError extends NodeError {
  readonly uploadId: string;

  constructor(uploadId: string) {
    super(
      'NO_SUCH_UPLOAD',
      `there is no upload ${quoted(uploadId)}: it was completed, aborted, or never started`,
    );
    this.uploadId = uploadId;
  }
}

/** A part is missing, or was replaced by another. */
export class InvalidPartError extends NodeError {
  readonly part: number;

  constructor(part: number) {
    super('INVALID_PART', `part ${part} is missing, or its ETag differs`);
    this.part = part;
  }
}

export class PreconditionFailedError extends NodeError {
  constructor(condition: 'ifMatch' | 'ifNoneMatch' | 'ifSizeBytes' | 'ifModifiedSecond') {
    super('PRECONDITION_FAILED', `${condition} does not hold`);
  }
}

/** The queue is full, or a write buffer cannot be written: retry after `retryAfterMs`. */
export class BusyError extends NodeError {
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number, why = 'the queue of writes is full', options?: ErrorOptions) {
    super('BUSY', `${why}: try again in ${retryAfterMs} ms`, options);
    this.retryAfterMs = retryAfterMs;
  }
}

function noSpaceText(neededBytes: number, freeBytes: number): string {
  if (neededBytes > freeBytes) {
    return `no space on the disk: ${neededBytes} bytes are needed, ${freeBytes} are free`;
  }
  // The free space was measured after the failure.
  return `no space on the disk for ${neededBytes} bytes; by now ${freeBytes} are free`;
}

export class NoSpaceError extends NodeError {
  readonly neededBytes: number;
  readonly freeBytes: number;

  constructor(neededBytes: number, freeBytes: number) {
    super('NO_SPACE', noSpaceText(neededBytes, freeBytes));
    this.neededBytes = neededBytes;
    this.freeBytes = freeBytes;
  }
}

/** Parts of files cannot be freed, so a full disk gets space back only where copies fit. */
export class NoHolesError extends NodeError {
  constructor(directory: string, cause: Error) {
    super(
      'NO_HOLES',
      `parts of files in ${directory} cannot be freed (${cause.message}): where live data does not fit into the free space once more, deletes do not give space back. Use ext4, XFS or Btrfs, or keep more space free`,
      { cause },
    );
  }
}

/** Stored bytes differ from what was written: they are never served. */
export class DamagedObjectError extends NodeError {
  readonly volume: number;
  readonly offsetBytes: number;

  constructor(volume: number, offsetBytes: number, message: string) {
    super('DAMAGED', `volume ${volume}, byte ${offsetBytes}: ${message}`);
    this.volume = volume;
    this.offsetBytes = offsetBytes;
  }
}

/** Why a directory is not opened, and what to do about it. */
export class NodeRefusedError extends NodeError {
  readonly advice: string;

  constructor(
    code:
      'MISSING_VOLUME' | 'FOREIGN_VOLUME' | 'DAMAGED' | 'LOST_METADATA' | 'NO_NODE' | 'NO_SPACE',
    message: string,
    advice: string,
    options?: ErrorOptions,
  ) {
    super(code, `${message}. ${advice}`, options);
    this.advice = advice;
  }
}

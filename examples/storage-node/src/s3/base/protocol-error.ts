/** S3 error codes of the server, with status and default text. */
const CODES = {
  AccessControlListNotSupported: [400, 'Only private ACLs are supported'],
  AccessDenied: [403, 'Access Denied'],
  AccessForbidden: [403, 'CORSResponse: CORS is not enabled for this bucket.'],
  AuthorizationHeaderMalformed: [400, 'The authorization header is malformed'],
  AuthorizationQueryParametersError: [400, 'The authorization query parameters are malformed'],
  BadDigest: [400, 'The digest you specified did not match what we received'],
  BucketAlreadyOwnedByYou: [409, 'The bucket already exists, and you own it'],
  BucketNotEmpty: [409, 'The bucket you tried to delete is not empty'],
  EntityTooLarge: [400, 'Your proposed upload exceeds the maximum allowed size'],
  EntityTooSmall: [400, 'Your proposed upload is smaller than the minimum allowed object size'],
  IncompleteBody: [400, 'The length of the body differs from its headers'],
  InternalError: [500, 'We encountered an internal error. Please try again.'],
  InvalidAccessKeyId: [403, 'The AWS access key Id you provided does not exist in our records'],
  InvalidArgument: [400, 'Invalid Argument'],
  InvalidBucketName: [
    400,
    'The specified bucket is not valid: 3 to 63 of a-z, 0-9, - and ., with a letter or digit at each end',
  ],
  InvalidDigest: [400, 'The Content-MD5 or checksum value that you specified is not valid'],
  InvalidPart: [400, 'One or more of the specified parts could not be found, or its ETag differs'],
  InvalidPartNumber: [416, 'The requested partnumber is not satisfiable'],
  InvalidPartOrder: [400, 'The list of parts was not in ascending order'],
  InvalidRange: [416, 'The requested range is not satisfiable'],
  InvalidRequest: [400, 'Invalid Request'],
  InvalidStorageClass: [400, 'The storage class you specified is not valid'],
  InvalidTag: [400, 'The tag provided was not a valid tag'],
  InvalidURI: [400, "Couldn't parse the specified URI"],
  KeyTooLongError: [400, 'Your key is too long'],
  MalformedTrailerError: [400, 'The request contained trailing data that was not well-formed'],
  MalformedXML: [400, 'The XML you provided was not well-formed'],
  MaxMessageLengthExceeded: [400, 'Your request was too big'],
  MetadataTooLarge: [400, 'Your metadata headers exceed the maximum allowed metadata size'],
  MethodNotAllowed: [405, 'The specified method is not allowed against this resource'],
  MissingContentLength: [411, 'You must provide the Content-Length HTTP header'],
  NoSuchBucket: [404, 'The specified bucket does not exist'],
  NoSuchBucketPolicy: [404, 'The bucket policy does not exist'],
  NoSuchCORSConfiguration: [404, 'The CORS configuration does not exist'],
  NoSuchConfiguration: [404, 'The specified configuration does not exist'],
  NoSuchKey: [404, 'The specified key does not exist'],
  NoSuchLifecycleConfiguration: [404, 'The lifecycle configuration does not exist'],
  NoSuchObjectLockConfiguration: [404, 'The specified object has no ObjectLock configuration'],
  NoSuchPublicAccessBlockConfiguration: [404, 'There is no public access block configuration'],
  NoSuchTagSet: [404, 'The TagSet does not exist'],
  NoSuchUpload: [404, 'The specified upload does not exist: completed, aborted, or never started'],
  NoSuchVersion: [404, 'The specified version does not exist'],
  NoSuchWebsiteConfiguration: [404, 'The specified bucket has no website configuration'],
  NotImplemented: [501, 'The request is not implemented'],
  NotModified: [304, 'Not Modified'],
  ObjectLockConfigurationNotFoundError: [404, 'The bucket has no object lock configuration'],
  OwnershipControlsNotFoundError: [404, 'The bucket ownership controls were not found'],
  PreconditionFailed: [412, 'At least one of the preconditions you specified did not hold'],
  ReplicationConfigurationNotFoundError: [404, 'The replication configuration was not found'],
  RequestHeaderSectionTooLarge: [400, 'Your request has too many headers'],
  RequestTimeTooSkewed: [403, 'The time of the request differs too much from the server time'],
  RequestTimeout: [400, 'The body was sent too slowly'],
  ServerSideEncryptionConfigurationNotFoundError: [404, 'The bucket has no encryption'],
  SignatureDoesNotMatch: [403, 'The request signature we calculated does not match yours'],
  SlowDown: [503, 'Please reduce your request rate'],
  ServiceUnavailable: [503, 'The node is stopping'],
  InsufficientStorage: [507, 'There is not enough free space'],
  XAmzContentSHA256Mismatch: [400, "The 'x-amz-content-sha256' does not match the body"],
} as const satisfies Record<string, readonly [status: number, text: string]>;

export type ProtocolErrorCode = keyof typeof CODES;

export interface ProtocolErrorDetails extends ErrorOptions {
  /** Additional XML elements, such as `Key`. */
  readonly fields?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error response of S3. Its message is for people and never contains a secret. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProtocolErrorCode, message?: string, details: ProtocolErrorDetails = {}) {
    super(message ?? CODES[code][1], details);
    this.name = new.target.name;
    this.code = code;
    this.status = CODES[code][0];
    this.fields = details.fields ?? {};
    this.headers = details.headers ?? {};
  }
}

/** The client closed the connection before the end of its request, so there is nobody to answer. */
export class ClientGoneError extends Error {
  constructor() {
    super('the client closed the connection before the end of its request');
    this.name = new.target.name;
  }
}

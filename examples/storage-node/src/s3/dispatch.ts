import {
  ABSENT_CONFIGURATIONS,
  CONFIGURATION_KEYS,
  DELETED_CONFIGURATIONS,
  NO_OBJECT_LOCK,
} from './operations/absent-configuration.ts';
import {
  getBucketAcl,
  getObjectAcl,
  putBucketAcl,
  putObjectAcl,
} from './operations/access-control.ts';
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  headBucket,
  listBuckets,
} from './operations/buckets.ts';
import { copyObject } from './operations/copy-object.ts';
import { deleteObjects } from './operations/delete-objects.ts';
import { listObjectsV1, listObjectsV2, listObjectVersions } from './operations/list-objects.ts';
import { listParts, listMultipartUploads } from './operations/list-uploads.ts';
import { getObjectAttributes } from './operations/object-attributes.ts';
import {
  deleteObjectTagging,
  getObjectTagging,
  putObjectTagging,
} from './operations/object-tagging.ts';
import { getObject, headObject } from './operations/read-object.ts';
import { uploadPart, uploadPartCopy } from './operations/upload-parts.ts';
import { abortUpload, completeUpload, createUpload } from './operations/uploads.ts';
import { deleteObject, putObject } from './operations/write-object.ts';
import { ProtocolError } from './base/protocol-error.ts';
import { BY_PATH, hostStyleRefusal } from './call/bucket-host.ts';
import type { S3Call, S3Operation } from './call/s3-call.ts';
import type { S3Request } from './call/s3-request.ts';

type Run = S3Operation['run'];

function operation(name: string, run: Run): S3Operation {
  return { name, run };
}

/**
 * Operations of one method on a bucket or an object: the first matching key of the query decides.
 */
interface Method {
  readonly byKey: ReadonlyMap<string, S3Operation>;
  readonly otherwise: S3Operation;
}

function notImplemented(keys: readonly string[]): [string, S3Operation][] {
  return keys.map((key) => [
    key,
    operation('NotImplemented', () => {
      throw new ProtocolError('NotImplemented', `?${key} is not implemented`);
    }),
  ]);
}

const NOT_ALLOWED = operation('MethodNotAllowed', () => {
  throw new ProtocolError('MethodNotAllowed');
});

const NO_FORMS = new ProtocolError('NotImplemented', 'Forms are not implemented');

const FORM: S3Operation = {
  name: 'PostObject',
  run: () => {
    throw NO_FORMS;
  },
};

const NO_BUCKET = operation('MethodNotAllowed', () => {
  throw new ProtocolError('MethodNotAllowed', `The path has no bucket. ${BY_PATH}.`);
});

const NO_CORS = operation('CorsPreflight', () => {
  throw new ProtocolError('AccessForbidden');
});

/** Object operations of S3 that this node does not support. */
const FURTHER_OBJECT_KEYS = [
  'retention',
  'legal-hold',
  'torrent',
  'restore',
  'select',
  'renameObject',
];

const BUCKET_METHODS: Readonly<Record<string, Method>> = {
  GET: {
    byKey: new Map([
      ['location', operation('GetBucketLocation', getBucketLocation)],
      ['acl', operation('GetBucketAcl', getBucketAcl)],
      ['uploads', operation('ListMultipartUploads', listMultipartUploads)],
      ['versions', operation('ListObjectVersions', listObjectVersions)],
      ...ABSENT_CONFIGURATIONS,
      ['list-type', operation('ListObjectsV2', listByType)],
    ]),
    otherwise: operation('ListObjects', listObjectsV1),
  },
  HEAD: { byKey: new Map(), otherwise: operation('HeadBucket', headBucket) },
  PUT: {
    byKey: new Map([
      ['acl', operation('PutBucketAcl', putBucketAcl)],
      ...notImplemented(CONFIGURATION_KEYS),
    ]),
    otherwise: operation('CreateBucket', createBucket),
  },
  POST: {
    byKey: new Map([['delete', operation('DeleteObjects', deleteObjects)]]),
    otherwise: FORM,
  },
  DELETE: {
    byKey: DELETED_CONFIGURATIONS,
    otherwise: operation('DeleteBucket', deleteBucket),
  },
  OPTIONS: { byKey: new Map(), otherwise: NO_CORS },
};

const OBJECT_METHODS: Readonly<Record<string, Method>> = {
  GET: {
    byKey: new Map([
      ['uploadId', operation('ListParts', listParts)],
      ['acl', operation('GetObjectAcl', getObjectAcl)],
      ['tagging', operation('GetObjectTagging', getObjectTagging)],
      ['attributes', operation('GetObjectAttributes', getObjectAttributes)],
      ...notImplemented(FURTHER_OBJECT_KEYS),
      ['retention', NO_OBJECT_LOCK],
      ['legal-hold', NO_OBJECT_LOCK],
    ]),
    otherwise: operation('GetObject', getObject),
  },
  HEAD: { byKey: new Map(), otherwise: operation('HeadObject', headObject) },
  PUT: {
    byKey: new Map([
      ['uploadId', operation('UploadPart', putPart)],
      ['acl', operation('PutObjectAcl', putObjectAcl)],
      ['tagging', operation('PutObjectTagging', putObjectTagging)],
      ...notImplemented(FURTHER_OBJECT_KEYS),
    ]),
    otherwise: operation('PutObject', putOrCopy),
  },
  POST: {
    byKey: new Map([
      ['uploads', operation('CreateMultipartUpload', createUpload)],
      ['uploadId', operation('CompleteMultipartUpload', completeUpload)],
      ...notImplemented(FURTHER_OBJECT_KEYS),
    ]),
    otherwise: NOT_ALLOWED,
  },
  DELETE: {
    byKey: new Map([
      ['uploadId', operation('AbortMultipartUpload', abortUpload)],
      ['tagging', operation('DeleteObjectTagging', deleteObjectTagging)],
      ...notImplemented(FURTHER_OBJECT_KEYS),
    ]),
    otherwise: operation('DeleteObject', deleteObject),
  },
  OPTIONS: { byKey: new Map(), otherwise: NO_CORS },
};

/** A form has its signature in its body: without this, its sender would look for a wrong key. */
function isForm({ method, key, headers }: S3Request): boolean {
  const type = headers.get('content-type') ?? '';
  return method === 'POST' && key === undefined && /^multipart\/form-data\b/i.test(type);
}

const LIST_BUCKETS = operation('ListBuckets', listBuckets);

/** Query names of a listing of a bucket, which that of all buckets has not. */
const OF_BUCKET_LISTINGS: readonly string[] = [
  'delimiter',
  'encoding-type',
  'fetch-owner',
  'key-marker',
  'marker',
  'max-keys',
  'max-uploads',
  'start-after',
  'upload-id-marker',
  'version-id-marker',
];

const OF_BUCKETS: ReadonlySet<string> = new Set([
  ...OF_BUCKET_LISTINGS,
  ...Object.values(BUCKET_METHODS).flatMap(({ byKey }) => [...byKey.keys()]),
]);

/** Sub-resources of any method, and what goes with one. */
const SUB_RESOURCES: ReadonlySet<string> = new Set([
  'partNumber',
  ...[BUCKET_METHODS, OBJECT_METHODS].flatMap((methods) =>
    Object.values(methods).flatMap(({ byKey }) => [...byKey.keys()]),
  ),
]);

/** What SDKs call an operation on an object, in the query name `x-id`. */
const OBJECT_OPERATIONS: ReadonlySet<string> = new Set([
  'CopyObject',
  'UploadPartCopy',
  ...Object.values(OBJECT_METHODS).flatMap(({ byKey, otherwise }) =>
    [...byKey.values(), otherwise].map(({ name }) => name),
  ),
]);

/** Headers of an object that no request for a bucket can have. */
const OF_OBJECTS = /^(?:if-(?:none-)?match|x-amz-(?:copy-source|tagging|meta-.*))$/s;

/**
 * Headers of an object that the creation of a bucket cannot have. SDKs send a checksum with every
 * object, also with an empty one, and with settings of buckets, but not with their creation.
 */
const NOT_OF_CREATION =
  /^x-amz-(?:checksum-.*|sdk-checksum-algorithm|trailer|storage-class|website-redirect-location)$/s;

/**
 * A request for a bucket without a key, or without a bucket, that can only mean more: its client
 * has the bucket in the host name. Taken by path, a PUT of an object would create a bucket.
 */
function isByHost(request: S3Request): boolean {
  const id = request.queryValue('x-id');
  if (request.bucket === undefined) {
    const isOfBucket = request.query.some(([name]) => OF_BUCKETS.has(name));
    return isOfBucket || (id !== undefined && id !== 'ListBuckets');
  }
  if (request.key !== undefined) return false;
  if (id !== undefined && OBJECT_OPERATIONS.has(id)) return true;
  if (request.method !== 'PUT') return false;
  const isCreation = !request.query.some(([name]) => SUB_RESOURCES.has(name));
  return [...request.headers.keys()].some(
    (name) => OF_OBJECTS.test(name) || (isCreation && NOT_OF_CREATION.test(name)),
  );
}

async function listByType(call: S3Call): Promise<void> {
  if (call.request.queryValue('list-type') === '2') await listObjectsV2(call);
  else await listObjectsV1(call);
}

async function putOrCopy(call: S3Call): Promise<void> {
  const isCopy = call.request.header('x-amz-copy-source') !== undefined;
  await (isCopy ? copyObject(call) : putObject(call));
}

async function putPart(call: S3Call): Promise<void> {
  const isCopy = call.request.header('x-amz-copy-source') !== undefined;
  await (isCopy ? uploadPartCopy(call) : uploadPart(call));
}

/** Methods that change something: as another operation, they would change something else. */
const CHANGING: ReadonlySet<string> = new Set(['PUT', 'POST', 'DELETE']);

/** Parameters of signatures, headers of links, and names that belong to no operation. */
const OF_ANY_REQUEST =
  /^(?:x-id|versionId|AWSAccessKeyId|Expires|Signature|[xX]-[aA][mM][zZ]-.*)$/s;

/**
 * Why a request that changes something is refused because of its query. A sub-resource that this
 * node does not know has no value, and must not be taken for the plain operation. Other unknown
 * parameters have one, and are ignored, as in S3.
 */
function refusalOf(request: S3Request, { byKey }: Method): ProtocolError | undefined {
  const isOfPart = request.key !== undefined && request.queryValue('uploadId') !== undefined;
  for (const [name, value] of request.query) {
    if (byKey.has(name) || OF_ANY_REQUEST.test(name)) continue;
    if (name === 'partNumber' && isOfPart) continue;
    if (name === 'partNumber' && request.key !== undefined) {
      return new ProtocolError('InvalidArgument', 'partNumber needs an uploadId');
    }
    if (value !== '' && !SUB_RESOURCES.has(name)) continue;
    const text = `?${name} is not implemented for ${request.method}`;
    return new ProtocolError('NotImplemented', text);
  }
  return undefined;
}

/**
 * The operation of a request: by method, by the resource in its path, and by the keys of its query.
 */
export function operationOf(request: S3Request): S3Operation {
  if (isForm(request)) return { ...FORM, refusal: NO_FORMS };
  if (isByHost(request)) {
    return operation('InvalidRequest', () => {
      throw hostStyleRefusal('The path has no bucket, or no key, and the request needs one.');
    });
  }
  if (request.bucket === undefined) {
    if (request.method === 'OPTIONS') return NO_CORS;
    return request.method === 'GET' ? LIST_BUCKETS : NO_BUCKET;
  }
  if (request.bucket === '') throw new ProtocolError('InvalidBucketName');
  const methods = request.key === undefined ? BUCKET_METHODS : OBJECT_METHODS;
  const method = methods[request.method];
  if (method === undefined) return NOT_ALLOWED;
  const refusal = CHANGING.has(request.method) ? refusalOf(request, method) : undefined;
  if (refusal !== undefined) {
    return operation(refusal.code, () => {
      throw refusal;
    });
  }
  for (const [key, found] of method.byKey) {
    if (request.queryValue(key) !== undefined) return found;
  }
  return method.otherwise;
}

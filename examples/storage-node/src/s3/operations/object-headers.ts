import type { ObjectDetails, ObjectInfo, ObjectMeta } from '../../object-node.ts';
import { checksumAlgorithm } from '../payload/checksums.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { ReplyHeaders } from '../call/reply.ts';
import type { S3Call } from '../call/s3-call.ts';
import { parseTagHeader } from './tag-set.ts';

const KEPT = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
  'x-amz-website-redirect-location',
];

const META = 'x-amz-meta-';

/** Headers that would change what is stored and that the node does not support. */
const REFUSED = [
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-server-side-encryption-customer-key',
  'x-amz-copy-source-server-side-encryption-customer-algorithm',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-write-offset-bytes',
];

/** These ACLs are equivalent here: the owner of the node has all rights. */
const PRIVATE_ACLS = new Set(['private', 'bucket-owner-full-control', 'bucket-owner-read']);

/** Refuses unsupported headers instead of ignoring them. @throws ProtocolError */
export function assertKnownOrders(call: S3Call): void {
  for (const name of REFUSED) {
    if (call.request.header(name) !== undefined) {
      throw new ProtocolError('NotImplemented', `The header ${name} is not implemented`);
    }
  }
  assertPrivateAcl(call);
  const storageClass = call.request.header('x-amz-storage-class') ?? 'STANDARD';
  if (storageClass !== 'STANDARD') throw new ProtocolError('InvalidStorageClass');
}

/** @throws ProtocolError AccessControlListNotSupported */
export function assertPrivateAcl(call: S3Call): void {
  const acl = call.request.header('x-amz-acl') ?? 'private';
  if (!PRIVATE_ACLS.has(acl)) throw new ProtocolError('AccessControlListNotSupported');
  for (const name of call.request.headers.keys()) {
    if (name.startsWith('x-amz-grant-')) throw new ProtocolError('AccessControlListNotSupported');
  }
}

/** `aws-chunked` names the framing, not an encoding of the object. */
function storedEncoding(text: string): string {
  const names = text.split(',').map((name) => name.trim());
  return names.filter((name) => name !== '' && name.toLowerCase() !== 'aws-chunked').join(', ');
}

/**
 * The metadata that a client stores with a body, from the request's headers. @throws ProtocolError
 */
export function metaOf(call: S3Call): ObjectMeta {
  const headers: Record<string, string> = {};
  let metaBytes = 0;
  for (const [name, value] of call.request.headers) {
    if (name.startsWith(META)) {
      metaBytes += name.length - META.length + value.length;
      headers[name] = value;
    } else if (KEPT.includes(name)) {
      const kept = name === 'content-encoding' ? storedEncoding(value) : value;
      if (kept !== '') headers[name] = kept;
    }
  }
  if (metaBytes > call.settings.limits.maxMetaBytes) throw new ProtocolError('MetadataTooLarge');
  const tags = parseTagHeader(call.request.header('x-amz-tagging'));
  return { headers, ...(tags !== undefined && { tags }) };
}

/** An HTTP date, in whole seconds. */
function httpTime(ms: number): string {
  return new Date(ms).toUTCString();
}

export function quotedEtag({ etag }: { readonly etag: string }): string {
  return `"${etag}"`;
}

/** Headers that the caller may add to: merged copies would cost more than a small response. */
type NewHeaders = Record<string, string | number>;

/** The headers of every response about an object. */
export function validators(object: ObjectInfo): ReplyHeaders {
  return { etag: quotedEtag(object), 'last-modified': httpTime(object.modifiedMs) };
}

/** The `x-amz-checksum-…` headers of a stored object. */
export function checksumHeaders({ checksums = {}, checksumType }: ObjectMeta): NewHeaders {
  const headers: NewHeaders = {};
  for (const [name, value] of Object.entries(checksums)) {
    if (checksumAlgorithm(name) !== undefined)
      headers[`x-amz-checksum-${name.toLowerCase()}`] = value;
  }
  if (Object.keys(headers).length > 0 && checksumType !== undefined) {
    headers['x-amz-checksum-type'] = checksumType;
  }
  return headers;
}

const OVERRIDES = new Map([
  ['response-content-type', 'content-type'],
  ['response-cache-control', 'cache-control'],
  ['response-content-disposition', 'content-disposition'],
  ['response-content-encoding', 'content-encoding'],
  ['response-content-language', 'content-language'],
  ['response-expires', 'expires'],
]);

const OF_NOT_MODIFIED = new Set(['etag', 'last-modified', 'cache-control', 'expires']);

/** The headers of a 304: those of the object that a cache needs. */
export function notModifiedHeaders(call: S3Call, details: ObjectDetails): ReplyHeaders {
  const headers = Object.entries(objectHeaders(call, details));
  return Object.fromEntries(headers.filter(([name]) => OF_NOT_MODIFIED.has(name)));
}

/** Headers of a GET or HEAD, except length and range. */
export function objectHeaders(call: S3Call, details: ObjectDetails): NewHeaders {
  const headers: NewHeaders = {
    'accept-ranges': 'bytes',
    'content-type': 'binary/octet-stream',
    etag: quotedEtag(details),
    'last-modified': httpTime(details.modifiedMs),
  };
  Object.assign(headers, details.meta.headers);
  const tags = Object.keys(details.meta.tags ?? {}).length;
  if (tags > 0) headers['x-amz-tagging-count'] = tags;
  for (const [name, value] of call.request.query) {
    const header = OVERRIDES.get(name);
    // Characters that end a header are not allowed in one.
    if (header === undefined) continue;
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) throw new ProtocolError('InvalidArgument');
    headers[header] = value;
  }
  return headers;
}

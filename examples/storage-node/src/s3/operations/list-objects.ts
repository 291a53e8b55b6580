import type { ListOptions, ObjectInfo, ObjectList } from '../../object-node.ts';
import { MAX_LIST_ENTRIES } from '../base/limits.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { element, isoTime, optionalElement, textElement } from '../xml/xml-writer.ts';
import { givenValue, listEncoder } from './list-text.ts';
import { quotedEtag } from './object-headers.ts';

/** The requested page. A limit of 0 returns nothing. */
async function page(call: S3Call, after: string | undefined, limit: number): Promise<ObjectList> {
  const prefix = givenValue(call, 'prefix');
  const delimiter = givenValue(call, 'delimiter');
  const options: ListOptions = {
    limit: Math.max(1, limit),
    ...(prefix !== undefined && { prefix }),
    ...(delimiter !== undefined && { delimiter }),
    ...(after !== undefined && { after }),
  };
  const list = await call.node.list(call.bucket, options);
  return limit === 0 ? { objects: [], prefixes: [] } : list;
}

function ownerXml(call: S3Call): string {
  const { id, displayName } = call.settings.owner;
  return element('Owner', textElement('ID', id) + textElement('DisplayName', displayName));
}

function objectXml(object: ObjectInfo, encode: (text: string) => string, owner: string): string {
  return (
    textElement('Key', encode(object.name)) +
    textElement('LastModified', isoTime(object.modifiedMs)) +
    textElement('ETag', quotedEtag(object)) +
    textElement('Size', object.sizeBytes) +
    owner +
    textElement('StorageClass', 'STANDARD')
  );
}

export function prefixesXml(prefixes: readonly string[], encode: (text: string) => string): string {
  return prefixes
    .map((prefix) => element('CommonPrefixes', textElement('Prefix', encode(prefix))))
    .join('');
}

/** XML 1.0 has no characters for others, and no parser takes references to them. */
function isXmlText(text: string): boolean {
  return /^[\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]*$/u.test(text);
}

/** The common first elements of all object listings. */
function listHead(
  call: S3Call,
  limit: number,
  list: ObjectList,
  encodePrefix: (text: string) => string = listEncoder(call),
): string {
  const encode = listEncoder(call);
  const delimiter = givenValue(call, 'delimiter');
  return (
    textElement('Name', call.bucket) +
    textElement('Prefix', encodePrefix(call.request.queryValue('prefix') ?? '')) +
    optionalElement('Delimiter', delimiter === undefined ? undefined : encode(delimiter)) +
    textElement('MaxKeys', limit) +
    optionalElement('EncodingType', givenValue(call, 'encoding-type')) +
    textElement('IsTruncated', list.next !== undefined)
  );
}

export async function listObjectsV1(call: S3Call): Promise<void> {
  const encode = listEncoder(call);
  const limit = call.count('max-keys', MAX_LIST_ENTRIES);
  const marker = givenValue(call, 'marker');
  const list = await page(call, marker, limit);
  const hasDelimiter = givenValue(call, 'delimiter') !== undefined;
  const next = hasDelimiter && list.next !== undefined ? encode(list.next) : undefined;
  const owner = ownerXml(call);
  call.reply.xml(
    'ListBucketResult',
    // Clients of the first version expect the prefix unencoded.
    listHead(call, limit, list, (text) => (isXmlText(text) ? text : encode(text))) +
      textElement('Marker', encode(marker ?? '')) +
      optionalElement('NextMarker', next) +
      list.objects.map((one) => element('Contents', objectXml(one, encode, owner))).join('') +
      prefixesXml(list.prefixes, encode),
  );
}

function encodeToken(name: string): string {
  return Buffer.from(name).toString('base64url');
}

function decodeToken(token: string): string {
  const name = Buffer.from(token, 'base64url').toString();
  if (encodeToken(name) === token && name !== '') return name;
  throw new ProtocolError('InvalidArgument', 'The continuation token provided is incorrect');
}

export async function listObjectsV2(call: S3Call): Promise<void> {
  const encode = listEncoder(call);
  const limit = call.count('max-keys', MAX_LIST_ENTRIES);
  const token = call.request.queryValue('continuation-token');
  const startAfter = givenValue(call, 'start-after');
  const after = token === undefined || token === '' ? startAfter : decodeToken(token);
  const list = await page(call, after, limit);
  const owner = call.request.queryValue('fetch-owner') === 'true' ? ownerXml(call) : '';
  const next = list.next === undefined ? undefined : encodeToken(list.next);
  call.reply.xml(
    'ListBucketResult',
    listHead(call, limit, list) +
      textElement('KeyCount', list.objects.length + list.prefixes.length) +
      optionalElement('ContinuationToken', token) +
      optionalElement('NextContinuationToken', next) +
      optionalElement('StartAfter', startAfter === undefined ? undefined : encode(startAfter)) +
      list.objects.map((one) => element('Contents', objectXml(one, encode, owner))).join('') +
      prefixesXml(list.prefixes, encode),
  );
}

/** Every object is the single version `null` of its name. */
export async function listObjectVersions(call: S3Call): Promise<void> {
  const encode = listEncoder(call);
  const limit = call.count('max-keys', MAX_LIST_ENTRIES);
  const marker = givenValue(call, 'key-marker');
  const list = await page(call, marker, limit);
  const owner = ownerXml(call);
  const version = textElement('VersionId', 'null') + textElement('IsLatest', true);
  const next =
    list.next === undefined
      ? ''
      : textElement('NextKeyMarker', encode(list.next)) +
        textElement('NextVersionIdMarker', 'null');
  call.reply.xml(
    'ListVersionsResult',
    listHead(call, limit, list) +
      textElement('KeyMarker', encode(marker ?? '')) +
      textElement('VersionIdMarker', call.request.queryValue('version-id-marker') ?? '') +
      next +
      list.objects
        .map((one) => element('Version', version + objectXml(one, encode, owner)))
        .join('') +
      prefixesXml(list.prefixes, encode),
  );
}

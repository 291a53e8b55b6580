import type { PartInfo, UploadInfo, UploadListOptions } from '../../object-node.ts';
import { MAX_LIST_ENTRIES } from '../base/limits.ts';
import type { S3Call } from '../call/s3-call.ts';
import { element, isoTime, optionalElement, textElement } from '../xml/xml-writer.ts';
import { assertBucket } from './buckets.ts';
import { prefixesXml } from './list-objects.ts';
import { givenValue, listEncoder } from './list-text.ts';
import { quotedEtag } from './object-headers.ts';
import { checksumOfUpload } from './upload-checksum.ts';
import { uploadOf } from './upload-parts.ts';

/** Owner and initiator are the same single user. */
function whoXml(call: S3Call): string {
  const { id, displayName } = call.settings.owner;
  const who = textElement('ID', id) + textElement('DisplayName', displayName);
  return (
    element('Initiator', who) + element('Owner', who) + textElement('StorageClass', 'STANDARD')
  );
}

function checksumXml(upload: UploadInfo): string {
  const checksum = checksumOfUpload(upload);
  if (checksum === undefined) return '';
  return (
    textElement('ChecksumAlgorithm', checksum.algorithm) +
    textElement('ChecksumType', checksum.type)
  );
}

function uploadXml(call: S3Call, upload: UploadInfo, encode: (text: string) => string): string {
  return element(
    'Upload',
    textElement('Key', encode(upload.name)) +
      textElement('UploadId', upload.uploadId) +
      whoXml(call) +
      textElement('Initiated', isoTime(upload.startedMs)) +
      checksumXml(upload),
  );
}

export async function listMultipartUploads(call: S3Call): Promise<void> {
  assertBucket(call);
  const encode = listEncoder(call);
  const limit = call.count('max-uploads', MAX_LIST_ENTRIES);
  const [prefix, delimiter, keyMarker] = ['prefix', 'delimiter', 'key-marker'].map((name) =>
    givenValue(call, name),
  );
  const idMarker = keyMarker === undefined ? undefined : givenValue(call, 'upload-id-marker');
  const options: UploadListOptions = {
    limit: Math.max(1, limit),
    ...(prefix !== undefined && { prefix }),
    ...(delimiter !== undefined && { delimiter }),
    ...(keyMarker !== undefined && { after: keyMarker }),
    ...(idMarker !== undefined && { afterUploadId: idMarker }),
  };
  const found = await call.node.uploads(call.bucket, options);
  const list = limit === 0 ? { uploads: [], prefixes: [] } : found;
  const next = limit === 0 ? undefined : found.next;
  call.reply.xml(
    'ListMultipartUploadsResult',
    textElement('Bucket', call.bucket) +
      textElement('KeyMarker', encode(keyMarker ?? '')) +
      textElement('UploadIdMarker', idMarker ?? '') +
      optionalElement('NextKeyMarker', next === undefined ? undefined : encode(next.name)) +
      optionalElement('NextUploadIdMarker', next?.uploadId) +
      optionalElement('Prefix', prefix === undefined ? undefined : encode(prefix)) +
      optionalElement('Delimiter', delimiter === undefined ? undefined : encode(delimiter)) +
      optionalElement('EncodingType', givenValue(call, 'encoding-type')) +
      textElement('MaxUploads', limit) +
      textElement('IsTruncated', next !== undefined) +
      list.uploads.map((upload) => uploadXml(call, upload, encode)).join('') +
      prefixesXml(list.prefixes, encode),
  );
}

function partXml(part: PartInfo): string {
  const sums = Object.entries(part.checksums ?? {}).map(([name, value]) =>
    textElement(`Checksum${name}`, value),
  );
  return element(
    'Part',
    textElement('PartNumber', part.number) +
      textElement('LastModified', isoTime(part.modifiedMs)) +
      textElement('ETag', quotedEtag(part)) +
      textElement('Size', part.sizeBytes) +
      sums.join(''),
  );
}

export async function listParts(call: S3Call): Promise<void> {
  const upload = await uploadOf(call);
  const limit = call.count('max-parts', MAX_LIST_ENTRIES);
  const marker =
    givenValue(call, 'part-number-marker') === undefined
      ? 0
      : call.count('part-number-marker', 2 ** 31 - 1);
  const behind = (await call.node.parts(upload.uploadId)).filter(({ number }) => number > marker);
  const shown = behind.slice(0, limit);
  call.reply.xml(
    'ListPartsResult',
    textElement('Bucket', call.bucket) +
      textElement('Key', call.key) +
      textElement('UploadId', upload.uploadId) +
      whoXml(call) +
      checksumXml(upload) +
      textElement('PartNumberMarker', marker) +
      optionalElement('NextPartNumberMarker', shown.at(-1)?.number) +
      textElement('MaxParts', limit) +
      // Nothing follows a page of 0: it has no last part to go on from.
      textElement('IsTruncated', limit > 0 && shown.length < behind.length) +
      shown.map(partXml).join(''),
  );
}

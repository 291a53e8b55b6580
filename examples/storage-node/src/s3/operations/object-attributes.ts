import type { ObjectDetails, PartInfo } from '../../object-node.ts';
import { MAX_LIST_ENTRIES } from '../base/limits.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { element, optionalElement, textElement } from '../xml/xml-writer.ts';
import { validators } from './object-headers.ts';
import { openObject } from './read-object.ts';

const KNOWN = new Set(['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']);

function checksumXml(checksums: Readonly<Record<string, string>> = {}): string {
  return Object.entries(checksums)
    .map(([name, value]) => textElement(`Checksum${name}`, value))
    .join('');
}

function countHeader(call: S3Call, name: string, otherwise: number): number {
  const text = call.request.header(name);
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new ProtocolError('InvalidArgument', `${name} is no number`);
  return Number(text);
}

function partXml(part: PartInfo): string {
  const own = textElement('PartNumber', part.number) + textElement('Size', part.sizeBytes);
  return element('Part', checksumXml(part.checksums) + own);
}

function partsXml(call: S3Call, parts: readonly PartInfo[]): string {
  const limit = Math.min(countHeader(call, 'x-amz-max-parts', MAX_LIST_ENTRIES), MAX_LIST_ENTRIES);
  const marker = countHeader(call, 'x-amz-part-number-marker', 0);
  const behind = parts.filter(({ number }) => number > marker);
  const shown = behind.slice(0, limit);
  return element(
    'ObjectParts',
    textElement('IsTruncated', shown.length < behind.length) +
      textElement('MaxParts', limit) +
      textElement('NextPartNumberMarker', shown.at(-1)?.number ?? 0) +
      textElement('PartNumberMarker', marker) +
      textElement('PartsCount', parts.length) +
      shown.map(partXml).join(''),
  );
}

function attributesXml(call: S3Call, wanted: ReadonlySet<string>, details: ObjectDetails): string {
  const { checksums = {}, checksumType } = details.meta;
  const sums = checksumXml(checksums);
  const checksum =
    sums === '' ? '' : element('Checksum', sums + optionalElement('ChecksumType', checksumType));
  return (
    (wanted.has('ETag') ? textElement('ETag', details.etag) : '') +
    (wanted.has('Checksum') ? checksum : '') +
    (wanted.has('ObjectParts') && details.parts !== undefined
      ? partsXml(call, details.parts)
      : '') +
    (wanted.has('StorageClass') ? textElement('StorageClass', 'STANDARD') : '') +
    (wanted.has('ObjectSize') ? textElement('ObjectSize', details.sizeBytes) : '')
  );
}

export async function getObjectAttributes(call: S3Call): Promise<void> {
  const header = call.request.header('x-amz-object-attributes') ?? '';
  const wanted = new Set(header.split(',').map((one) => one.trim()));
  if ([...wanted].some((one) => !KNOWN.has(one))) {
    throw new ProtocolError('InvalidArgument', 'Invalid attribute name specified.');
  }
  const reader = await openObject(call);
  reader.close();
  const { details } = reader;
  const modified = validators(details)['last-modified'] ?? '';
  const xml = attributesXml(call, wanted, details);
  call.reply.xml('GetObjectAttributesResponse', xml, { 'last-modified': modified });
}

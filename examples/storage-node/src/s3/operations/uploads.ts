import type { ObjectInfo, ObjectMeta, PartInfo, UploadInfo } from '../../object-node.ts';
import { NO_BYTES } from '../../object-node.ts';
import { MAX_PARTS } from '../base/limits.ts';
import { compositeEtag } from '../payload/checksum-combination.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { childText, readXml, type XmlElement } from '../xml/xml-reader.ts';
import { optionalElement, textElement } from '../xml/xml-writer.ts';
import { assertKnownOrders, metaOf, quotedEtag } from './object-headers.ts';
import { judgeEarly, writeCondition } from './preconditions.ts';
import {
  assertObjectChecksum,
  checksumOfUpload,
  metaOfUpload,
  objectChecksum,
  requestedChecksum,
  uploadChecksumHeaders,
} from './upload-checksum.ts';
import { uploadOf } from './upload-parts.ts';

export async function createUpload(call: S3Call): Promise<void> {
  assertKnownOrders(call);
  const meta = metaOf(call);
  const checksum = uploadChecksumHeaders(requestedChecksum(call));
  const kept: ObjectMeta = { ...meta, headers: { ...meta.headers, ...checksum } };
  const { uploadId } = await call.node.createUpload(call.bucket, call.key, kept);
  call.reply.xml(
    'InitiateMultipartUploadResult',
    textElement('Bucket', call.bucket) +
      textElement('Key', call.key) +
      textElement('UploadId', uploadId),
    checksum,
  );
}

export async function abortUpload(call: S3Call): Promise<void> {
  const { uploadId } = await uploadOf(call);
  await call.node.abortUpload(uploadId);
  call.reply.empty(204);
}

interface NamedPart {
  readonly number: number;
  readonly etag: string;
  readonly element: XmlElement;
}

/** @throws ProtocolError MalformedXML, InvalidPartOrder */
function readParts(xml: Uint8Array): NamedPart[] {
  const elements = readXml(xml, 'CompleteMultipartUpload').children.get('Part') ?? [];
  if (elements.length === 0 || elements.length > MAX_PARTS) throw new ProtocolError('MalformedXML');
  const parts = elements.map((element): NamedPart => {
    const number = childText(element, 'PartNumber')?.trim() ?? '';
    const etag = childText(element, 'ETag')?.trim().replaceAll('"', '');
    if (!/^\d{1,5}$/.test(number) || etag === undefined) throw new ProtocolError('MalformedXML');
    return { number: Number(number), etag, element };
  });
  if (parts.some(({ number }, at) => number <= (parts[at - 1]?.number ?? 0))) {
    throw new ProtocolError('InvalidPartOrder');
  }
  return parts;
}

/** The stored parts that a client names. @throws ProtocolError InvalidPart, EntityTooSmall */
function chooseParts(
  call: S3Call,
  named: readonly NamedPart[],
  stored: readonly PartInfo[],
): PartInfo[] {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  const chosen = named.map(({ number, etag, element }) => {
    const part = byNumber.get(number);
    // Of any algorithm: where the part has none, nobody could compare it.
    const isOther = [...element.children.keys()].some((name) => {
      const algorithm = /^Checksum(.*)$/.exec(name)?.[1];
      return algorithm !== undefined && childText(element, name) !== part?.checksums?.[algorithm];
    });
    if (part === undefined || part.etag !== etag || isOther) {
      const fields = { PartNumber: String(number), ETag: etag };
      throw new ProtocolError('InvalidPart', undefined, { fields });
    }
    return part;
  });
  const { minPartBytes } = call.settings.limits;
  const small = chosen.slice(0, -1).find(({ sizeBytes }) => sizeBytes < minPartBytes);
  if (small !== undefined) {
    const fields = {
      PartNumber: String(small.number),
      ProposedSize: String(small.sizeBytes),
      MinSizeAllowed: String(minPartBytes),
    };
    throw new ProtocolError('EntityTooSmall', undefined, { fields });
  }
  return chosen;
}

/** @throws ProtocolError InvalidRequest if the client expects another size. */
function assertObjectSize(call: S3Call, parts: readonly PartInfo[]): void {
  const expected = call.request.header('x-amz-mp-object-size');
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  if (expected === undefined || Number(expected) === sizeBytes) return;
  const text = `The provided 'x-amz-mp-object-size' header does not match the size of all parts: ${sizeBytes}`;
  throw new ProtocolError('InvalidRequest', text);
}

function replyCompleted(call: S3Call, object: ObjectInfo, meta: ObjectMeta): void {
  const sums = Object.entries(meta.checksums ?? {}).map(([name, value]) =>
    textElement(`Checksum${name}`, value),
  );
  const host = call.request.header('host') ?? '';
  call.reply.xml(
    'CompleteMultipartUploadResult',
    textElement('Location', `${call.settings.scheme}://${host}${call.request.rawPath}`) +
      textElement('Bucket', call.bucket) +
      textElement('Key', call.key) +
      textElement('ETag', quotedEtag(object)) +
      sums.join('') +
      optionalElement('ChecksumType', meta.checksumType),
  );
}

/** A client that missed its success may repeat the request, and gets the same result. */
async function replyCompletedBefore(call: S3Call, uploadId: string): Promise<boolean> {
  const reader = await call.node.open(call.bucket, call.key, { wanted: () => NO_BYTES });
  reader?.close();
  if (reader?.details.uploadId !== uploadId) return false;
  replyCompleted(call, reader.details, reader.details.meta);
  return true;
}

async function complete(
  call: S3Call,
  upload: UploadInfo,
  named: readonly NamedPart[],
): Promise<void> {
  const condition = writeCondition(call.request);
  if (condition !== undefined) judgeEarly(condition, await call.node.info(call.bucket, call.key));
  const parts = chooseParts(call, named, await call.node.parts(upload.uploadId));
  assertObjectSize(call, parts);
  const checksum = checksumOfUpload(upload);
  const value = checksum === undefined ? undefined : await objectChecksum(checksum, parts);
  await assertObjectChecksum(call, checksum, value, parts);
  const own = metaOfUpload(upload);
  const meta: ObjectMeta =
    checksum === undefined || value === undefined
      ? own
      : { ...own, checksums: { [checksum.algorithm]: value }, checksumType: checksum.type };
  const etag = compositeEtag(parts.map((part) => part.etag));
  const completion = call.node.completeUpload(
    call.bucket,
    call.key,
    upload.uploadId,
    parts.map((part) => ({ number: part.number, etag: part.etag })),
    { etag, meta },
    condition,
  );
  replyCompleted(call, await call.keptAlive(completion), meta);
}

export async function completeUpload(call: S3Call): Promise<void> {
  const uploadId = call.request.queryValue('uploadId') ?? '';
  // Checksum headers apply to the object here, not to the XML.
  const named = readParts(await call.xmlBody({ isChecksumOfObject: true }));
  if (call.node.bucket(call.bucket) === undefined) throw new ProtocolError('NoSuchBucket');
  const upload = await call.node.upload(call.bucket, call.key, uploadId);
  if (upload !== undefined) return await complete(call, upload, named);
  if (await replyCompletedBefore(call, uploadId)) return;
  throw new ProtocolError('NoSuchUpload', undefined, { fields: { UploadId: uploadId } });
}

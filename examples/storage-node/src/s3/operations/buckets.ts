import { MAX_LIST_ENTRIES } from '../base/limits.ts';
import { ProtocolError } from '../base/protocol-error.ts';
import type { S3Call } from '../call/s3-call.ts';
import { childText, readXml } from '../xml/xml-reader.ts';
import { element, isoTime, optionalElement, textElement } from '../xml/xml-writer.ts';
import { assertBucketName } from './bucket-name.ts';
import { assertPrivateAcl } from './object-headers.ts';

/** AWS's limit of buckets; here the limit of a page. */
const MAX_BUCKETS = 10 * MAX_LIST_ENTRIES;

export function listBuckets(call: S3Call): void {
  const { id, displayName } = call.settings.owner;
  const limit = call.count('max-buckets', MAX_BUCKETS);
  const after = Buffer.from(call.request.queryValue('continuation-token') ?? '', 'base64url');
  const prefix = call.request.queryValue('prefix') ?? '';
  const behind = call.node
    .buckets()
    .filter(({ name }) => name > after.toString() && name.startsWith(prefix))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const shown = behind.slice(0, limit);
  const last = shown.length < behind.length ? shown.at(-1)?.name : undefined;
  const each = shown.map(({ name, createdMs }) =>
    element('Bucket', textElement('Name', name) + textElement('CreationDate', isoTime(createdMs))),
  );
  call.reply.xml(
    'ListAllMyBucketsResult',
    element('Owner', textElement('ID', id) + textElement('DisplayName', displayName)) +
      element('Buckets', each.join('')) +
      optionalElement(
        'ContinuationToken',
        last === undefined ? undefined : Buffer.from(last).toString('base64url'),
      ),
  );
}

export async function createBucket(call: S3Call): Promise<void> {
  assertBucketName(call.bucket);
  assertPrivateAcl(call);
  if (call.request.header('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true') {
    throw new ProtocolError('NotImplemented', 'Object lock is not implemented');
  }
  const xml = await call.xmlBody();
  // Any region is accepted: there is one node.
  if (xml.length > 0) childText(readXml(xml, 'CreateBucketConfiguration'), 'LocationConstraint');
  const isNew = await call.node.createBucket(call.bucket);
  // In its first region, S3 lets an owner create a bucket again.
  if (!isNew && call.settings.region !== 'us-east-1') {
    throw new ProtocolError('BucketAlreadyOwnedByYou', undefined, {
      fields: { BucketName: call.bucket },
    });
  }
  call.reply.empty(200, { location: `/${call.bucket}` });
}

/** @throws ProtocolError NoSuchBucket */
export function assertBucket(call: S3Call): void {
  if (call.node.bucket(call.bucket) !== undefined) return;
  throw new ProtocolError('NoSuchBucket', undefined, { fields: { BucketName: call.bucket } });
}

export function headBucket(call: S3Call): void {
  assertBucket(call);
  call.reply.empty(200, {
    'content-type': 'application/xml',
    'x-amz-bucket-region': call.settings.region,
  });
}

export async function deleteBucket(call: S3Call): Promise<void> {
  await call.node.deleteBucket(call.bucket);
  call.reply.empty(204);
}

export function getBucketLocation(call: S3Call): void {
  assertBucket(call);
  const { region } = call.settings;
  // The first region has no name.
  call.reply.xml('LocationConstraint', region === 'us-east-1' ? '' : region);
}
